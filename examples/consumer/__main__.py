"""Asks the service of another stack a question: its address and key come from that stack's outputs.

The key is secret there, and stays secret here: encrypted in this stack's state, masked wherever it would be shown.
"""

import pulumi
from answer import Answer

config = pulumi.Config()
service = pulumi.StackReference(config.require("service"))

answer = Answer(
    "answer",
    scoring_uri=service.require_output("scoringUri"),
    key=service.require_output("primaryKey"),
    question=config.require("question"),
    context=config.require("context"),
)

pulumi.export("model", service.require_output("modelId"))
pulumi.export("question", config.require("question"))
pulumi.export("answer", answer.answer)
