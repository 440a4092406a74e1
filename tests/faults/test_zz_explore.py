import os
import signal
import threading

import pytest
from injector import is_dead
from ordeal import Ordeal

from running import eventually

pytestmark = pytest.mark.faults


def a(f, o):
    with f.frozen("kafka-1"):
        f.wait(0.7)
        f.kill("api-1")


def b(f, o):
    with f.frozen("recorder-1"):
        f.wait(0.5)
        f.kill("redis")
        f.wait(3)


def c(f, o):
    f.kill("redis")
    f.wait(1.5)
    f.kill("sweeper-1")


def d(f, o):
    t = threading.Thread(target=f.kill, args=("postgres",))
    t.start()
    f.kill("redis")
    t.join()


def e(f, o):
    with f.frozen("kafka-1"):
        f.wait(0.7)
        f.wipe_redis()


def ff(f, o):
    t = threading.Thread(target=f.kill, args=("kafka-1",))
    t.start()
    f.kill("recorder-1")
    t.join()


def g(f, o):
    t = threading.Thread(target=f.kill, args=("kafka-1",))
    t.start()
    f.wait(0.2)
    f.wipe_redis()
    t.join()


def h(f, o):
    for _ in range(3):
        f.kill("redis")


def i(f, o):
    n = [str(x.campaign_id) for x in o.offers]
    ps = [o.stack.start("rebuild", *n, "--json") for _ in range(2)]
    f.wait(1.0)
    f.kill("redis")
    for p in ps:
        print(p.communicate(timeout=60), p.returncode)


def j(f, o):
    t = threading.Thread(target=f.kill, args=("api-1",))
    t.start()
    f.kill("api-2")
    t.join()


def k(f, o):
    st = o.stack.said("status")
    os.kill(st["supervisor"], signal.SIGKILL)
    eventually(
        "all dead",
        lambda: [p for p in st["processes"] if not is_dead(p["pid"])],
        lambda x: not x,
        seconds=10,
    )
    o.stack.said("up", "--api", "2")


def l(f, o):
    f.freeze("postgres", 4)


def m(f, o):
    o.stack.said("down")
    o.stack.said("up", "--api", "2")


def n(f, o):
    with f.frozen("postgres"):
        f.wait(0.5)
        f.kill("recorder-1")
        f.wait(2)


def q(f, o):
    with f.frozen("redis"):
        f.wait(0.5)
        f.kill("api-1")
        f.kill("api-2")


def r(f, o):
    with f.frozen("sweeper-1"):
        f.kill("redis")
        f.wait(3)
    f.wait(2)
    with f.frozen("sweeper-1"):
        f.wait(4)


def s(f, o):
    f.freeze("api-1", 6)


def t(f, o):
    with f.frozen("kafka-1"):
        f.wait(6)


ALL = dict(
    a=a, b=b, c=c, d=d, e=e, ff=ff, g=g, h=h, i=i, j=j, k=k, l=l, m=m, n=n, q=q, r=r, s=s, t=t
)


@pytest.mark.parametrize("name", list(ALL))
def test_pair(fragile, seed, name):
    o = Ordeal(fragile, seed + sum(map(ord, name)))
    o.undergo(lambda f: ALL[name](f, o), 40)
