"""For schemathesis, which finds the keys that it asks with in the list of keys."""
import os

import schemathesis

KEPT = os.environ["CONTRACT_KEEP"].replace("pck1_", "").split()
NOBODY = "pck1_0000000000000000"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Leaves them as they are: whoever revokes its own key is told 401 from then on."""
    if str(case.path_parameters.get("id", "")).removeprefix("pck1_") in KEPT:
        case.path_parameters["id"] = NOBODY
