"""As many dynamic resources as the setting `count` says, each depending on one of those before it."""

import pulumi
from counted import Counted

made: list[Counted] = []
for number in range(pulumi.Config().require_int("count")):
    before = made[max(0, number - 1 - number % 10)].text if made else "none"
    made.append(Counted(f"resource-{number}", number=number, before=before))
pulumi.export("last", made[-1].text)
