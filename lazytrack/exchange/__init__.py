"""Data in and out: a store as one file, copies of stores, what other trackers have written, and tables for SQL."""
