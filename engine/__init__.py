"""An embedded Pulumi engine: runs this project's program where the Pulumi CLI is not installed.

It takes the CLI's verbs and flags, speaks Pulumi's gRPC interfaces and writes Pulumi's file backend, so that either
can go on where the other stopped. It does what this project needs and nothing more. Each layer uses those below it:

    __main__, cli                       the command line; verbs in updates, stacks, configs
    operation                           one update, refresh or destroy; shown by display, or as JSON by digest, secrets
                                        behind masking
    monitor, program, process           the program and its gRPC services; child processes that never outlive the engine
    registration, deletion, reading,    what an operation does to resources; goals and work are what they share
      recognition
    registry, providers, plugins,       who does it: provider processes, and the provider of stack references
      builtin
    snapshot, state, values, diff       the state while it changes, as it is stored, and what it is made of
    session, project, stackfile,        where all that lies: the project, a stack's settings and secrets, the backend
      crypto, backend, shape, files
"""
