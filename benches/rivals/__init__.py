"""One module per library, each with the same workloads under the same names.

A workload is a function that prepares everything and returns a callable; the callable does one
unit of timed work and returns a number that shows it did the work (a loss, a sum), or None.
A library that cannot do a workload leaves the function out. Modules are imported by worker.py in
a process of their own.
"""
