"""Reads CPIX answers with other people's programs, and sends documents: PyPI cpix, lxml, OpenSSL, AWS's library.

Run by cpix_documents.rs and speke_clients.rs. Prints the keys that it found, as JSON.
"""

import base64
import json
import subprocess
import sys
import uuid

import cpix
from lxml import etree

NS = {
    "c": "urn:dashif:org:cpix",
    "p": "urn:ietf:params:xml:ns:keyprov:pskc",
    "e": "http://www.w3.org/2001/04/xmlenc#",
}
# Systems that are younger than the library's list: clear AES-128 of SPEKE 2, Clear Key of DASH.
cpix.VALID_SYSTEM_IDS += map(uuid.UUID, ["3ea8778f-7742-4bf9-b18b-e834b2acbd47", "e2719d58-a985-b3c9-781a-b030af78d30e"])


def parse(path):
    with open(path, "rb") as file:
        return file.read()


def validate(path):
    """The answer is read, and its references hold."""
    root = etree.fromstring(parse(path))
    for period in root.iterfind("c:ContentKeyPeriodList/c:ContentKeyPeriod[@index][@start]", NS):
        # The library knows CPIX 2.2, whose periods have either.
        del period.attrib["start"], period.attrib["end"]
    document = cpix.CPIX.parse(root)
    sound, errors = document.validate_content()
    assert sound, errors
    assert len(document.content_keys) > 0
    keys = {key.kid.hex: base64.b64decode(key.cek, validate=True).hex() for key in document.content_keys}
    assert len(keys) == len(document.content_keys), "a key id is there twice"
    for system in document.drm_systems:
        given = [getattr(system, name, None) for name in ("pssh", "content_protection_data")]
        for text in filter(None, given):
            assert base64.b64decode(text, validate=True)
    print(json.dumps(keys))


def openssl(*arguments, data):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def unwrap(key_file, element):
    wrapped = base64.b64decode(element.find(".//e:CipherValue", NS).text)
    method = element.find(".//e:EncryptionMethod", NS).get("Algorithm")
    assert method == "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", method
    padding = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1", "-pkeyopt", "rsa_mgf1_md:sha1"]
    return openssl("pkeyutl", "-decrypt", "-inkey", key_file, *padding, data=wrapped)


def decrypt(path, *key_files):
    """Each recipient gets all keys, and each key's MAC holds."""
    root = etree.fromstring(parse(path))
    assert not root.findall(".//p:PlainValue", NS), "a key is in the clear"
    document = cpix.CPIX.parse(parse(path))
    assert document.validate_content()[0] and len(document.delivery_datas) == len(key_files)
    deliveries = root.findall("c:DeliveryDataList/c:DeliveryData", NS)
    found = None
    for key_file, delivery in zip(key_files, deliveries, strict=True):
        document_key = unwrap(key_file, delivery.find("c:DocumentKey/c:Data/p:Secret/p:EncryptedValue", NS))
        mac_method = delivery.find("c:MACMethod", NS)
        assert mac_method.get("Algorithm") == "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"
        mac_key = unwrap(key_file, mac_method.find("c:Key/p:EncryptedValue", NS))
        assert (len(document_key), len(mac_key)) == (32, 64)
        keys = root.findall("c:ContentKeyList/c:ContentKey", NS)
        opened = {}
        for element in keys:
            secret = element.find("c:Data/p:Secret", NS)
            method = secret.find("p:EncryptedValue/e:EncryptionMethod", NS).get("Algorithm")
            assert method == "http://www.w3.org/2001/04/xmlenc#aes256-cbc", method
            value = base64.b64decode(secret.find("p:EncryptedValue/e:CipherData/e:CipherValue", NS).text)
            mac = openssl("dgst", "-sha512", "-mac", "HMAC", "-macopt", f"hexkey:{mac_key.hex()}", "-binary", data=value)
            assert mac == base64.b64decode(secret.find("p:ValueMAC", NS).text), "the MAC does not hold"
            key = openssl("enc", "-d", "-aes-256-cbc", "-K", document_key.hex(), "-iv", value[:16].hex(), data=value[16:])
            opened[element.get("kid").replace("-", "")] = key.hex()
        assert opened and found in (None, opened), "two recipients get different keys"
        found = opened
    print(json.dumps(found))


def post(url, path, access_key, secret, version=None):
    """Sends a document as programs of AWS's sign their requests; prints the answer."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    headers = {"Content-Type": "application/xml", **({"X-Speke-Version": version} if version else {})}
    request = AWSRequest("POST", url, headers=headers, data=parse(path))
    SigV4Auth(Credentials(access_key, secret), "execute-api", "eu-central-1").add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    assert answer.headers.get("X-Speke-Version") == version, answer.headers
    sys.stdout.write(answer.text)


if __name__ == "__main__":
    {"validate": validate, "decrypt": decrypt, "post": post}[sys.argv[1]](*sys.argv[2:])
