"""Name what takes the place of each name of Azure Machine Learning that does not exist here.

A name that exists here in another group (`numReplicas`, `authEnabled`) needs no entry: the settings' types have it.
"""

__all__ = ["AZURE_NAMES", "SAME_NAMES"]

_TLS = "tls.certificateFile and tls.keyFile"
_PROBES = "nothing: probes are computed from the models"
_PACKAGES = "environment.pipPackages"
_REQUIREMENTS = "environment.requirementsFile"
_QUEUE = "environment.variables.MAX_CONCURRENT_REQUESTS"
_OWN_IMAGE = "image.baseImage, naming an image that has it"
_OWN = "nothing: each environment gets an interpreter and packages of its own"
_SHARED_MEMORY = "docker.shmMb and nodePool.shmMb"

AZURE_NAMES = {
    "computeType": "deployment.target",
    "computeTarget": "deployment.computeTargetName",
    "location": "deployment.computeTargetName",
    "dnsNameLabel": "nodePool.exposure.host",
    "cname": "nodePool.exposure.host",
    "containerResourceRequirements": "deployment.cpuCores, deployment.memoryGb and deployment.gpuCores",
    "cpu": "deployment.cpuCores",
    "memoryInGB": "deployment.memoryGb",
    "gpu": "deployment.gpuCores",
    "cpuLimit": "nodePool.cpuCoresLimit",
    "memoryInGBLimit": "nodePool.memoryGbLimit",
    "keys": "primaryKey and secondaryKey",
    "tokenAuthEnabled": "clients[].jwt",
    "sslEnabled": _TLS,
    "sslCertificate": _TLS,
    "sslCert": _TLS,
    "sslKey": _TLS,
    "autoScaler": "nodePool.autoscale",
    "autoscaleEnabled": "nodePool.autoscale",
    "refreshPeriodInSeconds": "nothing: it is Kubernetes' own",
    "maxConcurrentRequestsPerContainer": _QUEUE,
    "maxQueueWaitMs": _QUEUE,
    "livenessProbeRequirements": _PROBES,
    "periodSeconds": _PROBES,
    "initialDelaySeconds": _PROBES,
    "failureThreshold": _PROBES,
    "appInsightsEnabled": "the output metricsUri and nodePool.monitoring",
    "dataCollection": "environment.variables.COLLECT_URL",
    "storageEnabled": "environment.variables.COLLECT_URL",
    "modelDataCollection": "environment.variables.COLLECT_URL",
    "environmentVariables": "environment.variables",
    "condaDependencies": _PACKAGES,
    "condaDependenciesFile": _REQUIREMENTS,
    "condaFile": _REQUIREMENTS,
    "baseImageRegistry": "image.repository, image.username and imagePassword",
    "baseDockerfile": _OWN_IMAGE,
    "extraDockerfileSteps": _OWN_IMAGE,
    "runtime": _OWN_IMAGE,
    "spark": _OWN_IMAGE,
    "shmSize": _SHARED_MEMORY,
    "userManagedDependencies": _OWN,
    "interpreterPath": _OWN,
    "baseCondaEnvironment": _OWN,
    "inferencingStackVersion": "nothing: the server is this project's",
    "sharedVolumes": "nothing: containers are made from the settings alone",
    "modelPath": "models[].path",
    "modelName": "models[].name",
    "modelFramework": "models[].framework",
}

SAME_NAMES = frozenset(
    {
        "deployment.authEnabled",
        "deployment.cpuCores",
        "deployment.gpuCores",
        "deployment.memoryGb",
        "deployment.overwrite",
        "deployment.port",
        "deployment.scoringTimeoutMs",
        "entryScript",
        "environment.name",
        "image.baseImage",
        "models[].description",
        "models[].tags",
        "nodePool.autoscale.maxReplicas",
        "nodePool.autoscale.minReplicas",
        "nodePool.autoscale.targetUtilization",
        "nodePool.cpuCoresLimit",
        "nodePool.memoryGbLimit",
        "nodePool.namespace",
        "nodePool.numReplicas",
        "primaryKey",
        "secondaryKey",
        "sourceDirectory",
    }
)
"""The settings that Azure's `deploy_configuration`, `InferenceConfig` and JSON files call by the same name."""
