#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Makes dict_v1.c and dict_v1_summary.c: the zstd dictionaries for small texts and
for summaries.

Writes sample headers and bodies as mail programs, lists and shops write them,
all invented here, lets `zstd --train` choose from them, and prints the result
as C. A released dictionary never changes, for the log needs it for ever; a
better one would become dict_v2.c.

    ./make-dict.py > dict_v1.c
    ./make-dict.py BUILD/tests/store/summary_dump > dict_v1_summary.c
"""
import base64
import os
import random
import subprocess
import sys
import tempfile

R = random.Random(1)
SIZE = 16384

WORDS = """the of and to a in is it you that he was for on are with as I his they
be at one have this from or had by not but some what there we can out other were
all your when up use word how said an each she which do their time if will way
about many then them would write like so these her long make thing see him two
has look more day could go come did my sound no most number who over know water
than call first people may down side been now find please thank thanks regards
best meeting tomorrow today project update report order number invoice payment
account customer service delivery tracking team office schedule question answer
attached file document review draft version release patch list archive subscribe
unsubscribe click here view browser email address privacy policy rights reserved
information contact support password login security confirm confirmation received
message original wrote hello dear sincerely kind sent mobile phone week month
price total subtotal shipping quantity item discount code offer ends soon new
think problem works server build test error function return value line change
commit branch merge request comment issue fixed reply directly this on github""".split()
DE = """und der die das ich nicht ist ein eine mit für auf von Sie wir den dem im zu
bitte danke Grüßen freundlichen Mit Rechnung Bestellung Ihre Anfrage geehrte Damen
Herren sehr haben werden kann über nächste Woche Termin""".split()
FR = """le la les de des un une et est pas pour vous nous dans avec sur votre merci
bonjour cordialement commande facture demande très être réunion semaine""".split()
FIRST = "Anna Ben Carla David Eva Felix Gina Hugo Ines Jan Kira Lars Mia Nora Olaf Paul Rosa Sven Tina Uwe".split()
LAST = "Adler Berg Cook Diaz Evans Fischer Garcia Hansen Ito Jones Klein Lopez Martin Novak Olsen Petrov Quinn Rossi Smith Weber".split()
HOSTS = ["example.org", "example.com", "mail.example.net", "lists.example.org", "news.example.com", "corp.example", "uni.example.edu"]
DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def date():
    return "%s, %d %s %d %02d:%02d:%02d %s" % (
        R.choice(DAYS), R.randint(1, 31), R.choice(MONTHS), R.randint(2005, 2030),
        R.randint(0, 23), R.randint(0, 59), R.randint(0, 59),
        R.choice(["+0000", "+0000 (UTC)", "+0100", "+0200 (CEST)", "-0700 (PDT)", "-0800", "-0500", "+0900", "+0530"]))


def token(n, alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"):
    return "".join(R.choice(alphabet) for _ in range(n))


def b64(n):
    return base64.b64encode(bytes(R.getrandbits(8) for _ in range(n))).decode()


def words(n, bank=WORDS):
    return " ".join(R.choice(bank) for _ in range(n))


def person():
    f, l = R.choice(FIRST), R.choice(LAST)
    return f, l, "%s.%s@%s" % (f.lower(), l.lower(), R.choice(HOSTS))


def addr():
    f, l, a = person()
    return R.choice(["%s %s <%s>" % (f, l, a), '"%s, %s" <%s>' % (l, f, a), a, "<%s>" % a,
                     "=?UTF-8?Q?%s_%s?= <%s>" % (f, l, a)])


def msgid():
    return R.choice([
        "<%s@%s>" % (token(24), R.choice(HOSTS)),
        "<CA+%s@mail.gmail.com>" % token(48),
        "<%d.%d.%d.JavaMail.root@%s>" % (R.getrandbits(30), R.getrandbits(20), R.getrandbits(40), R.choice(HOSTS)),
        "<%sMB%04d.eurprd0%d.prod.outlook.com>" % (token(20), R.randint(0, 9999), R.randint(1, 9)),
        "<%08x-%04x-%04x@%s>" % (R.getrandbits(32), R.getrandbits(16), R.getrandbits(16), R.choice(HOSTS))])


def received():
    h, g = R.choice(HOSTS), R.choice(HOSTS)
    ip = "%d.%d.%d.%d" % tuple(R.randint(1, 254) for _ in range(4))
    return R.choice([
        "Received: from %s (%s [%s])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)\r\n\t(No client certificate requested)\r\n\tby %s (Postfix) with ESMTPS id %s\r\n\tfor <%s>; %s\r\n" % (h, h, ip, g, token(11), person()[2], date()),
        "Received: from %s ([%s])\r\n        by smtp.gmail.com with ESMTPSA id %s.%d.%s\r\n        (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256 bits=128/128);\r\n        %s\r\n" % (h, ip, token(12).lower(), R.randint(0, 99), date()[:11], date()),
        "Received: from %s ([%s]:%d helo=%s)\r\n\tby %s with esmtps (TLS1.2) tls TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\r\n\t(Exim 4.96)\r\n\t(envelope-from <%s>)\r\n\tid %s-%s-%s\r\n\tfor %s;\r\n\t%s\r\n" % (h, ip, R.randint(1025, 65000), h, g, person()[2], token(6), token(6), token(2), person()[2], date()),
        "Received: by %s (Postfix, from userid %d)\r\n\tid %s; %s\r\n" % (g, R.choice([0, 33, 1000, 1001]), token(10), date()),
        "Received: from localhost (localhost [127.0.0.1])\r\n\tby %s (Postfix) with ESMTP id %s\r\n\tfor <%s>; %s\r\n" % (g, token(10), person()[2], date())])


def dkim():
    h = R.choice(HOSTS)
    return ("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/%s; d=%s; s=%s;\r\n\tt=%d; h=from:from:reply-to:subject:subject:date:date:message-id:message-id:\r\n\t to:to:cc:mime-version:mime-version:content-type:content-type:\r\n\t content-transfer-encoding:in-reply-to:references;\r\n\tbh=%s=;\r\n\tb=%s\r\n\t %s\r\n\t %s==\r\n"
            % (R.choice(["simple", "relaxed"]), h, R.choice(["default", "mail", "selector1", "20230601", "s1"]),
               R.randint(1500000000, 1900000000), b64(32)[:43], b64(48), b64(51), b64(48)))


BOUND = ["----=_NextPart_000_%s", "--------------%s", "=_%s", "000000000000%s", "Apple-Mail=_%s", "b1_%s"]


def boundary():
    return R.choice(BOUND) % token(24)


def subject():
    s = words(R.randint(2, 8)).capitalize()
    return R.choice([s, "Re: " + s, "Fwd: " + s, "[dev] " + s, "[PATCH %d/%d] %s" % (R.randint(1, 9), R.randint(1, 9), s),
                     "=?UTF-8?B?%s?=" % b64(30), "=?utf-8?Q?%s?=" % s.replace(" ", "_"), "AW: " + words(4, DE)])


def header():
    out = []
    a = out.append
    if R.random() < .6:
        a("Return-Path: <%s>\r\nDelivered-To: %s\r\n" % (person()[2], person()[2]))
    for _ in range(R.randint(0, 3)):
        a(received())
    if R.random() < .4:
        a("Authentication-Results: %s;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=%s header.i=@%s header.a=rsa-sha256 header.s=default header.b=%s;\r\n\tdkim-atps=neutral\r\nReceived-SPF: Pass (mailfrom) identity=mailfrom; client-ip=192.0.2.1; helo=%s; envelope-from=%s; receiver=<UNKNOWN>\r\n"
          % (R.choice(HOSTS), R.choice(HOSTS), R.choice(HOSTS), token(8), R.choice(HOSTS), person()[2]))
    if R.random() < .4:
        a(dkim())
    body = [
        "From: %s\r\n" % addr(), "To: %s\r\n" % R.choice([addr(), addr() + ",\r\n\t" + addr()]),
        "Subject: %s\r\n" % subject(), "Date: %s\r\n" % date(),
        R.choice(["Message-ID: ", "Message-Id: "]) + msgid() + "\r\n"]
    if R.random() < .4:
        ref = msgid()
        body.append("In-Reply-To: %s\r\nReferences: %s %s\r\n %s\r\n" % (ref, msgid(), msgid(), ref))
    if R.random() < .3:
        body.append("Cc: %s\r\n" % addr())
    if R.random() < .3:
        body.append("Reply-To: %s\r\n" % addr())
    R.shuffle(body)
    out += body
    a("MIME-Version: 1.0\r\n")
    a(R.choice([
        "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n",
        "Content-Type: text/plain; charset=\"utf-8\"; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\nContent-Language: en-US\r\n",
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        "Content-Type: text/plain; charset=us-ascii\r\nContent-Disposition: inline\r\n",
        "Content-Type: multipart/alternative;\r\n boundary=\"%s\"\r\n" % boundary(),
        "Content-Type: multipart/mixed; boundary=\"%s\"\r\n" % boundary(),
        "Content-Type: multipart/related;\r\n\ttype=\"multipart/alternative\";\r\n\tboundary=\"%s\"\r\n" % boundary(),
        "Content-Type: multipart/signed; micalg=pgp-sha256;\r\n\tprotocol=\"application/pgp-signature\"; boundary=\"%s\"\r\n" % boundary()]))
    if R.random() < .5:
        a(R.choice(["User-Agent: Mozilla Thunderbird\r\n", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101\r\n Thunderbird/102.6.0\r\n",
                    "X-Mailer: Microsoft Outlook 16.0\r\nThread-Index: %s\r\n" % b64(22), "User-Agent: Mutt/2.2.9 (2022-11-12)\r\n",
                    "X-Mailer: Apple Mail (2.3731.400.51.1.1)\r\n", "X-Mailer: git-send-email 2.39.2\r\n", "X-Mailer: PHPMailer 6.8.0 (https://github.com/PHPMailer/PHPMailer)\r\n",
                    "X-MS-Has-Attach:\r\nX-MS-TNEF-Correlator:\r\nAccept-Language: en-US\r\nContent-Language: en-US\r\nX-Originating-IP: [192.0.2.7]\r\n"]))
    if R.random() < .35:
        h = R.choice(HOSTS)
        a("List-Id: <%s.%s>\r\nList-Unsubscribe: <https://%s/unsubscribe/%s>, <mailto:unsubscribe@%s?subject=unsubscribe>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Archive: <https://%s/archives/>\r\nList-Post: <mailto:list@%s>\r\nList-Help: <mailto:list-request@%s?subject=help>\r\nPrecedence: %s\r\n"
          % (token(6).lower(), h, h, token(20), h, h, h, h, R.choice(["list", "bulk"])))
    if R.random() < .25:
        a("X-Spam-Status: No, score=-1.9 required=5.0 tests=BAYES_00,DKIM_SIGNED,DKIM_VALID,\r\n\tHTML_MESSAGE,RCVD_IN_DNSWL_NONE,SPF_HELO_NONE,SPF_PASS\r\n\tautolearn=ham autolearn_force=no version=4.0.0\r\nX-Spam-Checker-Version: SpamAssassin 4.0.0\r\nX-Virus-Scanned: Debian amavisd-new at %s\r\n" % R.choice(HOSTS))
    return "".join(out) + "\r\n"


def plain():
    bank = R.choice([WORDS, WORDS, DE, FR])
    out = []
    f, l, a = person()
    out.append(R.choice(["Hi %s,\r\n\r\n", "Dear %s,\r\n\r\n", "Hello %s,\r\n\r\n", "Hallo %s,\r\n\r\n", "Bonjour %s,\r\n\r\n"]) % f)
    if R.random() < .5:
        out.append("On %s, %s %s wrote:\r\n" % (date(), f, l))
        for _ in range(R.randint(1, 6)):
            out.append("> %s\r\n" % words(R.randint(3, 11), bank))
        out.append("\r\n")
    for _ in range(R.randint(1, 4)):
        for _ in range(R.randint(1, 5)):
            out.append(words(R.randint(6, 12), bank).capitalize() + R.choice([".", ",", "?", ""]) + "\r\n")
        out.append("\r\n")
    if R.random() < .4:
        out.append("https://www.%s/%s/%s?utm_source=newsletter&utm_medium=email&id=%s\r\n\r\n" % (R.choice(HOSTS), R.choice(WORDS), R.choice(WORDS), token(8)))
    out.append(R.choice(["-- \r\n%s %s\r\n", "Best regards,\r\n%s %s\r\n", "Mit freundlichen Grüßen\r\n%s %s\r\n", "Cordialement,\r\n%s %s\r\n", "Thanks,\r\n%s %s\r\n", "Kind regards\r\n\r\n%s %s\r\n"]) % (f, l))
    if R.random() < .3:
        out.append("_______________________________________________\r\nlist mailing list\r\nlist@%s\r\nhttps://%s/mailman/listinfo/list\r\n" % (R.choice(HOSTS), R.choice(HOSTS)))
    return "".join(out)


def html(qp):
    rows = "".join(
        '<tr><td align="left" valign="top" style="padding:0 0 10px 0;font-family:Arial,Helvetica,sans-serif;font-size:%dpx;line-height:%dpx;color:#%s">%s <a href="https://www.%s/%s" target="_blank" style="color:#%s;text-decoration:none">%s</a></td></tr>\r\n'
        % (R.choice([12, 13, 14, 16]), R.choice([18, 20, 24]), R.choice(["333333", "000000", "666666"]), words(R.randint(4, 14)),
           R.choice(HOSTS), token(10), R.choice(["0066cc", "1155cc", "ffffff"]), words(2)) for _ in range(R.randint(1, 5)))
    s = R.choice([
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\r\n<html xmlns="http://www.w3.org/1999/xhtml">\r\n<head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />\r\n<meta name="viewport" content="width=device-width, initial-scale=1.0" />\r\n<title>%s</title>\r\n<style type="text/css">\r\nbody { margin: 0; padding: 0; }\r\n@media only screen and (max-width: 600px) { .container { width: 100%% !important; } }\r\n</style>\r\n</head>\r\n<body bgcolor="#ffffff">\r\n<table width="100%%" border="0" cellspacing="0" cellpadding="0" role="presentation">\r\n%s<tr><td><img src="https://img.%s/open/%s.gif" width="1" height="1" alt="" style="display:block" border="0" /></td></tr>\r\n</table>\r\n</body>\r\n</html>\r\n'
        % (words(3), rows, R.choice(HOSTS), token(12)),
        '<html>\r\n  <head>\r\n    <meta http-equiv="content-type" content="text/html; charset=UTF-8">\r\n  </head>\r\n  <body>\r\n    <p>%s<br>\r\n    </p>\r\n    <div class="moz-cite-prefix">On %s, wrote:<br>\r\n    </div>\r\n    <blockquote type="cite" cite="mid:%s">\r\n      <pre class="moz-quote-pre" wrap="">%s</pre>\r\n    </blockquote>\r\n  </body>\r\n</html>\r\n'
        % (words(20), date()[:11], token(20), words(12)),
        '<div dir="ltr"><div>%s</div><div><br></div></div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On %s wrote:<br></div><blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);padding-left:1ex">%s<br></blockquote></div>\r\n'
        % (words(20), date()[:11], words(14)),
        '<p class="MsoNormal" style="margin:0cm;margin-bottom:.0001pt;font-size:11.0pt;font-family:&quot;Calibri&quot;,sans-serif"><span lang="EN-US">%s<o:p></o:p></span></p>\r\n<p class="MsoNormal"><o:p>&nbsp;</o:p></p>\r\n' % words(15)])
    if qp:
        s = s.replace("=", "=3D").replace("é", "=C3=A9")
    return s


def mixed():
    b = boundary()
    out = R.choice(["This is a multi-part message in MIME format.\r\n", ""])
    out += "--%s\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n%s\r\n" % (b, plain())
    if R.random() < .6:
        out += "--%s\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n%s\r\n" % (b, html(True))
    else:
        out += "--%s\r\nContent-Type: application/pdf; name=\"%s.pdf\"\r\nContent-Disposition: attachment; filename=\"%s.pdf\"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <%s>\r\n\r\n%s\r\n" % (b, R.choice(WORDS), R.choice(WORDS), token(10), b64(57))
    if R.random() < .2:
        out += "--%s\r\nContent-Type: application/pgp-signature; name=\"signature.asc\"\r\nContent-Description: OpenPGP digital signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\n%s\r\n-----END PGP SIGNATURE-----\r\n\r\n" % (b, b64(48))
    return out + "--%s--\r\n" % b


def patch():
    f = R.choice(WORDS)
    return "---\r\n src/%s.c | %d ++--\r\n 1 file changed, %d insertions(+), %d deletions(-)\r\n\r\ndiff --git a/src/%s.c b/src/%s.c\r\nindex %07x..%07x 100644\r\n--- a/src/%s.c\r\n+++ b/src/%s.c\r\n@@ -%d,7 +%d,7 @@ static int\r\n \tif (ret < 0)\r\n \t\treturn ret;\r\n-\t%s;\r\n+\t%s;\r\n \treturn 0;\r\n }\r\n-- \r\n2.39.2\r\n\r\n" % (
        f, R.randint(1, 9), R.randint(1, 9), R.randint(1, 9), f, f, R.getrandbits(28), R.getrandbits(28), f, f, R.randint(1, 900), R.randint(1, 900), words(3), words(3))


def to_c(raw, name):
    print("/* SPDX-License-Identifier: ISC */\n/* Copyright (c) 2026 The restante authors */")
    print("/*\n * Made by make-dict.py; never to be changed, for logs are read with it.\n */")
    print('#include "store/body.h"\n\n/* clang-format off */\nconst unsigned char %s[] = {' % name)
    for i in range(0, len(raw), 24):
        print("\t" + "".join("%d," % c for c in raw[i:i + 24]))
    print("};\n/* clang-format on */\nconst size_t %s_len = sizeof(%s);" % (name, name))


def main():
    summaries = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as d:
        files = []
        for i in range(4000):
            if summaries:
                s = header() + R.choice([plain, plain, mixed, lambda: html(False)])()
            else:
                s = R.choice([header, header, header, plain, plain, mixed, mixed, lambda: html(False), lambda: html(True), patch])()
            files.append(os.path.join(d, "%04d" % i))
            with open(files[-1], "wb") as f:
                f.write(s.encode())
        if summaries:
            subprocess.run([summaries, *files], check=True)
            files = [f + ".sum" for f in files]
        out = os.path.join(d, "dict")
        subprocess.run(["zstd", "-q", "--train", *files, "--maxdict=%d" % SIZE,
                        "--dictID=%d" % (1920 if summaries else 1919), "-o", out], check=True, stdout=sys.stderr)
        with open(out, "rb") as f:
            to_c(f.read(), "summary_dict_1" if summaries else "body_dict_v1")


main()
