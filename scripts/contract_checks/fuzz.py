"""Odd requests in number: each is a seed's own, whichever thread sends it."""
import collections, concurrent.futures, random, shutil

from contract_checks import gateway, spoil
from contract_checks.judge import Judge
from contract_checks.request import seeds
from contract_checks.wire import Listener, is_whole

THREADS = 8
# As long as a body may take, and the system may be busy.
PATIENCE = 15
# Who does not end a request waits for nothing; some of them do, to see how the gateway ends them.
IMPATIENCE, WAITING = 0.3, 25
SHOWN = 12


def run(contracts, asked, root, faults_home, count, seed):
    """Sends `count` requests; how many answers were wrong."""
    made = [gateway.id_of(gateway.make_key(asked, f"made {number}", ["*"])) for number in range(6)]
    good = list(seeds(contracts, asked, root, made))
    by_listener = {name: [request for request in good if request.listener == name] for name in ("callers", "admin")}
    listeners = {contract.name: Listener(contract.url, asked.authority) for contract in contracts}
    keys = {"callers": asked.key, "admin": asked.admin}
    judge = Judge(contracts, root, keys.values())
    codes, wrong, first = collections.Counter(), collections.Counter(), {}
    shutil.rmtree(faults_home, ignore_errors=True)
    faults_home.mkdir(parents=True)

    def ask(number):
        chance = random.Random(f"{seed} {number}")
        # Two of three go to callers' routes, one half of those to tensors.
        listener = chance.choice(("callers", "callers", "admin"))
        of_kind = by_listener[listener]
        if listener == "callers":
            is_oip = chance.random() < 0.5
            of_kind = [request for request in of_kind if request.target.startswith(b"/v2") == is_oip]
        request, sent = spoil.spoiled(chance.choice(of_kind), chance, by_listener[listener])
        key, other = keys[listener], keys["admin" if listener == "callers" else "callers"]
        is_known = number % 2 == 0
        value = f"Bearer {key}".encode() if is_known else spoil.wrong_key(chance, key, other)
        if value is not None:
            at = sent.find(b"\n") + 1
            sent = sent[:at] + b"Authorization: " + value + request.ending + sent[at:]
        is_finished = is_whole(sent)
        seconds = PATIENCE if is_finished or number % WAITING == 0 else IMPATIENCE
        answer = listeners[listener].ask(sent, b"HEAD" if sent.lstrip(b"\r\n").startswith(b"HEAD ") else request.method, seconds)
        if not is_finished and not answer.status:
            return number, sent, "unfinished", []
        code = answer.one("x-error-code") or (answer.status if answer.status < 300 else "bare")
        return number, sent, code, judge.faults(request, sent, answer, spoil.MARKER)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for number, sent, code, faults in pool.map(ask, range(count)):
            codes[str(code)] += 1
            for fault in faults:
                wrong[fault] += 1
                if fault not in first:
                    first[fault] = number
                    (faults_home / f"{len(first)}").write_bytes(sent)
    met = sum(codes.values()) - codes["unfinished"]
    print(f"fuzzed: {count} requests, {met} answers judged, {codes['200']} accepted, {sum(wrong.values())} faults", flush=True)
    for place, fault in list(enumerate(first, 1))[:SHOWN]:
        print(f"  {wrong[fault]:>5}  {fault}; the first is request {first[fault]}, in {faults_home}/{place}")
    if len(first) > SHOWN:
        print(f"  and {len(first) - SHOWN} other kinds")
    return sum(wrong.values())
