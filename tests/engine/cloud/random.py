"""The random provider: values made once and kept in the state."""

import base64
import secrets
import string

from .kind import Kind
from .provider import Provider
from .wire import Inputs, secret
from .world import World


def _password(world: World, inputs: Inputs) -> Inputs:
    alphabet = string.ascii_letters + string.digits
    result = "".join(secrets.choice(alphabet) for _ in range(inputs["length"]))
    return {"result": secret(result), "bcryptHash": secret(f"$2a$10${result[::-1]}")}


def _string(world: World, inputs: Inputs) -> Inputs:
    return {"result": secrets.token_hex(inputs["length"])[: inputs["length"]]}


def _id(world: World, inputs: Inputs) -> Inputs:
    raw = secrets.token_bytes(inputs["byteLength"])
    prefix = inputs.get("prefix", "")
    return {
        "hex": prefix + raw.hex(),
        "dec": prefix + str(int.from_bytes(raw, "big")),
        "b64Std": prefix + base64.b64encode(raw).decode(),
        "b64Url": prefix + base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }


def _kind(name: str, computed: object, *replaced_by: str) -> Kind:
    return Kind(
        token=f"random:index/random{name}:Random{name}",
        id=lambda world, inputs: secrets.token_hex(8),
        seconds=0,
        replaced_by=frozenset({"keepers", "length", "byteLength", "prefix", *replaced_by}),
        computed=computed,  # type: ignore[arg-type]
        auto_name=None,
    )


SHAPE = ("special", "overrideSpecial", "upper", "lower", "numeric", "minLower", "minUpper")
PASSWORD = _kind("Password", _password, *SHAPE)
KINDS = {
    kind.token: kind for kind in (PASSWORD, _kind("String", _string, *SHAPE), _kind("Id", _id))
}


class Random(Provider):
    """Nothing to reach, nothing to name."""

    package = "pulumi_random"
