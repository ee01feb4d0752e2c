// A Triton service, declared by the package's components.
import * as triton from "@pulumi/triton";

const model = new triton.ModelBundle("triton_model", {
    path: "../../../model_repository",
    tags: { area: "examples" },
    description: "Handwritten digits, question answering and wine cultivars",
});
const environment = new triton.TritonEnvironment("My-Triton", {
    clone: "AzureML-Triton",
    pipPackages: ["nltk"],
    variables: { WORKER_COUNT: "1" },
});
const service = new triton.TritonService("triton-typescript", {
    models: [model],
    environment,
    entryScript: "score_bidaf.py",
    sourceDirectory: "../../scripts",
    deployment: { target: "process", cpuCores: 1, memoryGb: 4, authEnabled: true, port: 6792 },
});

export const scoringUri = service.scoringUri;
export const primaryKey = service.primaryKey;
export const modelId = model.modelId;
