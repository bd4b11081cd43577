#!/bin/sh
# Runs a Python test with the system's interpreter:
# run_python.sh [NAME=VALUE...] FILE [ARG...], names of the environment first.
while expr "$1" : '[A-Z_]*=' >/dev/null; do
  export "$1"
  shift
done
exec /usr/bin/python3 -B "$@"
