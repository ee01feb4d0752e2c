"""Start the policy pack: Pulumi's CLI runs this folder, where `--policy-pack policies` names it."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the project, in place of this folder

    from policies.pack import main

    main()
