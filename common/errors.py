"""The root of every error that is meant for people."""

__all__ = ["UserError"]


class UserError(Exception):
    """An error for a person. Its text names the thing, says what is wrong and what was expected, and gives the fix.

    A command prints the text without a traceback and ends with exit code 1.

        UserError
        ├── SettingsError          settings/    mistakes in a stack's file, all at once
        ├── UnknownStackError      settings/    a stack without a file
        ├── GoldenError            settings/    the entry script's golden request is malformed
        ├── NewStackError          operate/     no stack can be written for a model
        ├── NoVersionError         operate/     there is no version of the service to go back to
        ├── SharedTrafficError     operate/     a version to go back to would get a share of the traffic alone
        ├── LayoutError            bundle/      Triton would refuse a model's folder
        ├── RegistryError          bundle/      a model cannot be registered, read or downloaded
        ├── SpecError              environment/ an unknown curated environment, a pip package that contradicts it
        ├── ResolutionError        environment/ pip packages that do not go together, or do not exist
        ├── BuildError             environment/ this machine cannot build the environment
        ├── EnvoyError             gateway/     Envoy is not installed
        ├── FiguresError           gateway/     an Envoy started anew, so two of its figures have no difference
        ├── AdminError             gateway/     Envoy does not answer, or not in time
        │   └── RejectedError                   Envoy refuses a file
        ├── ServiceError           targets/     a service cannot be changed, measured or removed
        │   ├── RefusedError                    a new version did not pass a step of its rollout
        │   ├── FormError          operate/     the dashboard's form asks for what nobody can send
        │   ├── NoEngineError                   no Docker engine answers
        │   └── ClusterError                    the Kubernetes cluster refuses or does not answer
        │       └── CredentialError             a kubeconfig is wrong, or the cluster refuses it
        ├── OtherContentError      provider/    a program names a version of its service, and declares other things
        ├── PropertyError          components/  a component is given a property that it does not have
        ├── PolicyError            policies/    policies cannot be checked: a wrong configuration, a preview that failed
        ├── RolloutError           targets/     new replicas on a node pool do not become ready
        └── SmokeCheckError        targets/     a deployed service does not answer as it should
    """
