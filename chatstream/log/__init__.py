"""The log: one Protocol (port.py) and its adapters.

kafka      Apache Kafka, or anything that speaks its protocol (confluent_kafka is imported only here)
embedded   one process, one data directory (rocksdict)
simulated  in memory, virtual time, seeded faults: for the simulation and for unit tests
"""
