"""A client made of Authlib alone: what it is told, it was told by the provider's metadata."""
import json
import sys

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebToken
from authlib.oidc.core import CodeIDToken

step, given = sys.argv[1], json.loads(sys.argv[2])
metadata = requests.get(given["issuer"] + "/.well-known/openid-configuration", timeout=10).json()


def session(**more):
    return OAuth2Session(
        given["id"],
        given.get("secret"),
        token_endpoint_auth_method="client_secret_basic",
        **more,
    )


def begin():
    verifier = generate_token(48)
    client = session(
        scope="openid profile offline_access cases.read",
        redirect_uri=given["callback"],
        code_challenge_method="S256",
    )
    nonce = generate_token()
    url, state = client.create_authorization_url(
        metadata["authorization_endpoint"],
        code_verifier=verifier,
        nonce=nonce,
        prompt="consent",
        resource=given["resource"],
    )
    return {"url": url, "state": state, "nonce": nonce, "verifier": verifier}


def finish():
    client = session(
        redirect_uri=given["callback"], state=given["state"], code_challenge_method="S256"
    )
    token = client.fetch_token(
        metadata["token_endpoint"],
        authorization_response=given["answer"],
        code_verifier=given["verifier"],
    )
    keys = requests.get(metadata["jwks_uri"], timeout=10).json()
    claims = JsonWebToken(metadata["id_token_signing_alg_values_supported"]).decode(
        token["id_token"],
        keys,
        claims_cls=CodeIDToken,
        claims_options={"iss": {"values": [given["issuer"]]}, "aud": {"values": [given["id"]]}},
        claims_params={"nonce": given["nonce"], "client_id": given["id"]},
    )
    claims.validate()
    userinfo = client.get(metadata["userinfo_endpoint"]).json()
    first = token["refresh_token"]
    renewed = client.refresh_token(
        metadata["token_endpoint"], refresh_token=first, resource=given["resource"]
    )
    call = lambda: requests.get(
        given["api"], headers={"authorization": "Bearer " + renewed["access_token"]}, timeout=10
    ).status_code
    before = call()
    ask = lambda: client.introspect_token(
        metadata["introspection_endpoint"], token=renewed["refresh_token"]
    ).json()["active"]
    active = ask()
    client.revoke_token(metadata["revocation_endpoint"], token=renewed["refresh_token"])
    try:
        client.refresh_token(metadata["token_endpoint"], refresh_token=first)
        reuse = "accepted"
    except Exception as error:
        reuse = error.error
    return {
        "issuer": claims["iss"],
        "audience": claims["aud"],
        "userinfo": userinfo["sub"] == claims["sub"],
        "api": before,
        "rotated": renewed["refresh_token"] != first,
        "active": active,
        "activeAfterRevocation": ask(),
        "apiAfterRevocation": call(),
        "reuse": reuse,
    }


def itself():
    token = session(scope="cases.read-all").fetch_token(
        metadata["token_endpoint"], grant_type="client_credentials", resource=given["resource"]
    )
    answer = requests.get(
        given["api"], headers={"authorization": "Bearer " + token["access_token"]}, timeout=10
    )
    return {"type": token["token_type"], "scope": token["scope"], "api": answer.status_code}


print(json.dumps({"begin": begin, "finish": finish, "itself": itself}[step]()))
