"""Makes valid requests of schemathesis distinct where they have to be."""

import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key belongs to one request, so that a second one with the same key is rightly refused."""
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if is_valid and case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
