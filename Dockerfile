# A chatstream node. The data directory is /data: keep it on a volume, the node's id and its tables are there.
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY chatstream chatstream
# topics.yaml is inside the package when it is installed; the build takes it from here.
COPY topics.yaml ./
RUN pip install --no-cache-dir --constraint constraints.txt ".[speed]" \
    && useradd --system --create-home chatstream \
    && install -d -o chatstream -g chatstream /data

USER chatstream
ENV CHATSTREAM_DATA=/data
VOLUME /data
EXPOSE 8080
# SIGTERM is what a node stops on, in seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["chatstream"]
CMD ["up"]
