"""An embedded Pulumi engine: runs this project's program where the Pulumi CLI is not installed.

It takes the CLI's verbs and flags, speaks Pulumi's gRPC interfaces and writes Pulumi's file backend, so that either
can go on where the other stopped. It does what this project needs and nothing more. Each folder uses those below it:

    cli/        the command line: `arguments`, the verbs, what they show (`display`, `json_preview`, `masking`)
    run/        one update, refresh or destroy (`operation`): the program and its gRPC service (`program`, `monitor`,
                `request`), what becomes of resources (`registration`, `deletion`, `reading`, `recognition`), providers
                that nobody declares (`default_providers`), components that plugins make (`construction`); these share
                `goals` and `work`. A preview and its update share processes (`host`, `launcher`, `relay`)
    providers/  who does it: processes of plugins, of the project's own providers and of dynamic ones (`registry`,
                `provider`, `plugins`, `plugin_folder`), stack references (`builtin`), `children` that never outlive
                the engine
    state/      what lies on disk: the project, a stack's settings and secrets, the backend, checkpoints
"""
