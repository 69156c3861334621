"""Cross-checks grants with the `sd-jwt` package (PyPI), another implementation
of RFC 9901.

    sd_jwt_oracle.py verify   {"sd_jwt", "jwk"} -> the disclosed claims as JSON
    sd_jwt_oracle.py issue    {"jwk", "alg", "kid", "typ", "claims",
                               "disclosures", "digests"} -> an SD-JWT

Input is JSON on standard input. It knows nothing of what a grant means.
"""

import json
import sys

from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier


def verify(request):
    key = JWK.from_json(json.dumps(request["jwk"]))
    verifier = SDJWTVerifier(request["sd_jwt"], lambda issuer, header: key)
    return json.dumps(verifier.get_verified_payload())


def issue(request):
    key = JWK.from_json(json.dumps(request["jwk"]))
    claims = dict(request["claims"])
    for name, value in request["disclosures"].items():
        claims[SDObj(name)] = value

    class Issuer(SDJWTIssuer):
        # The package adds a random number of decoys; a grant has a power of two.
        def _create_sd_claims_object(self, members):
            made = super()._create_sd_claims_object(members)
            if members is self._user_claims:
                while len(made["_sd"]) < request["digests"]:
                    made["_sd"].append(self._create_decoy_claim_entry())
                made["_sd"].sort()
            return made

    header = {"typ": request["typ"], "kid": request["kid"]}
    issuer = Issuer(claims, key, sign_alg=request["alg"], extra_header_parameters=header)
    return issuer.sd_jwt_issuance


if __name__ == "__main__":
    print({"verify": verify, "issue": issue}[sys.argv[1]](json.load(sys.stdin)))
