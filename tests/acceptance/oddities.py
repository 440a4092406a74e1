"""What malformed requests are made of: one table for each part of a request.

Text goes out as Latin-1 where it can, so that bytes beyond ASCII are single ones.
"""

WORDS = (
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "FOO",
    "P\0ST",
    "",
    "A" * 99,
)
NUMBERS = (
    *("0", "-1", "1.0", "1e3", "+1", "01", "%31", "1%00", "\u0661", "NaN", "null", "*", "..", ""),
    *(str(2**31), str(2**53 + 1), str(2**63), str(2**64), "9" * 400, "1;drop", "1'--", "{1}", "1 "),
)
PATHS = (
    *(
        "",
        "*",
        "//",
        "/%",
        "/%zz",
        "/%00",
        "/\\..\\",
        "/..%2f..%2fetc",
        "v1",
        "http://x/",
        "/#?#",
        "/?",
    ),
    *(
        "//v1/campaigns/1/issuances",
        "/v1//campaigns",
        "/v1/campaigns/1/issuances/",
        "/v1/campaigns/",
    ),
    *("/v1/campaigns/1/issuances/../issuances", "/v1/campaigns/1/issuances/me/", "/" + "a" * 9000),
    *(
        "/v1/users/../users/me/coupons",
        "/docs/../v1/campaigns",
        "/\xff\xfe",
        "/v1/campaigns?x=" + "%41" * 999,
    ),
    *("/problems/x", "/openapi.json/x", "/%e2%82%ac", "/v1/campaigns/1%2fissuances"),
)
WAITS = (
    "-1",
    "1e9",
    "NaN",
    "inf",
    "",
    "1&wait=2",
    "%31",
    "0x1",
    "1" * 999,
    "1.0000",
    "\0",
    "30.1",
    "1;2",
)
BODIES = (
    *(
        "{",
        "[" * 4000,
        '{"a":' * 700,
        "null",
        "[]",
        '"x"',
        "0",
        '{"user":"bob"}',
        '{"":1}',
        "\0",
        "{}{}",
    ),
    *(
        '{"a":1e999}',
        '{"\\ud800":1}',
        "\xff\xfe",
        "{} \x00",
        '{"a":1,"a":2}',
        "-",
        "true",
        " " * 4000,
    ),
)
LENGTHS = (
    "-1",
    "+2",
    "0x2",
    "2, 2",
    "9" * 30,
    "1e1",
    "",
    " ",
    "4097",
    "2\r\nContent-Length: 3",
    "NaN",
)
CHUNKS = (
    *(
        "zz\r\n{}\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "f" * 17 + "\r\n",
        "2\r\n{}0\r\n\r\n",
        "2;" + "x" * 9000 + "\r\n{}\r\n",
    ),
    *(
        "1\r\n{\r\n" * 3000,
        "0\r\nTrailer: \0\r\n\r\n",
        "2\r\n{}\r\n0\r\n" + "a: b\r\n" * 4000,
        "\r\n\r\n",
        "2 \r\n{}",
    ),
)
HEADERS = (
    *(
        "X: " + "a" * 70_000,
        "a:b\r\n" * 5000 + "c: d",
        "NoColon",
        ": novalue",
        "X: \0",
        "X\0: y",
        "X : y",
    ),
    *(
        "X: a\r\n folded",
        "X: a\rY: b",
        "X: a\nY: b",
        "Host: a\r\nHost: b",
        "Expect: 200-ok",
        "Upgrade: h2c",
    ),
    *(
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, chunked",
        "Connection: \xff",
        "\xe9: x",
    ),
    *(
        "Idempotency-Key: \xff",
        "Idempotency-Key: a b",
        'Idempotency-Key: "',
        "Idempotency-Key: " + "k" * 999,
    ),
    *(
        "Idempotency-Key: a\r\nIdempotency-Key: b",
        "Content-Type: a\r\nContent-Type: b",
        "X-User-Id: eve",
    ),
    *(
        "Origin: \0",
        "Origin: null",
        "Cookie: " + "c=d;" * 3000,
        "Authorization: x",
        "Connection: upgrade, close",
    ),
)
PREFACES = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"GET /\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nabc",
    b"\r\n\r\n\r\n",
    b"\0" * 1000,
    b"*1\r\n$4\r\nPING\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
)
