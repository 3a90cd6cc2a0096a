"""Child processes that may do nothing but their job: SQL and rules come from outside, and are run in one of these.

`child.py` is the parent's side: it starts a fresh interpreter (executed, never forked, so that no memory is inherited),
sends it what to do over a pipe and reads bounded answers from another. `bootstrap.py` is how the child begins: it takes
limits, imports the module that does the work, and only then locks itself in, before it has read a byte from outside.
`kernel.py` is how the kernel is asked for that; `channel.py` is what the two write to each other. `spares.py` begins
children before they are needed: these import first, and take their limits with their job.

Two layers, of which each is enough to keep a child from writing: seccomp takes away the system calls that reach other
processes, the network, modes, times and mounts; Landlock takes away every file that was not named. A kernel may lack
one of them: the child says which it has before it is given anything, and the parent decides whether that will do.

A new kind of worker is a module with a function `main(channel, layers)`, and a `Spec` that names it. See
`ocelog.lake.query.worker`.
"""
