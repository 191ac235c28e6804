"""chatstream: persistent chat sessions for language-model applications, on Kafka."""
