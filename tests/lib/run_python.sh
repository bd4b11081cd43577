#!/bin/sh
# Runs a Python test with the system's interpreter: run_python.sh FILE [ARG...]
exec /usr/bin/python3 -B "$@"
