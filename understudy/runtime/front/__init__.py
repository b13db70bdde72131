"""The servers of a process behind one port: grpc's handler objects in, calls answered."""
