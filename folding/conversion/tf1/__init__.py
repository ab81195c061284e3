"""Graphs of TensorFlow 1, as they were trained, made ready for inference without running them.

loading      the graph and its checkpoint, from files
switched     variables that are flags, as inputs
flags        the inputs that decide what is computed, and values for them
training     what these are at inference
randomness   random numbers, and dropout that drops nothing
branches     the bodies of functions, put in the place of their calls
switches     the sides of Switch and Merge that a known flag leaves
specialise   these three until nothing more is known
variables    constants from the checkpoint in the place of variables
pruning      what an output needs, and nothing else
outputs      which nodes are the outputs, if nobody says so
statistics   what the normalisations of the graph hold
"""
