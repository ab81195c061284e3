"""Attacks on the service as data: hostile models, hostile calls, and what each is answered.

    models    models that would hang, crash or exhaust whatever reads them
    table     each of them with its right answer
    calls     calls that break the rules, each with its right answer
    clients   clients that stop when they like
    halves    messages that never end
    scene     a server that is attacked, and what may be left of an attack

Nothing may be left of an attack: no process, no file, no memory.
"""
