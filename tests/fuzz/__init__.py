"""Whatever bytes come in, from anywhere: an answer or a named error, never anything else. Guided by coverage.

python -m tests.fuzz commands                 until stopped
python -m tests.fuzz commands -runs=100000    so many inputs

targets   what takes bytes from outside, each as a function that raises only for a bug
seeds     inputs to begin with
"""
