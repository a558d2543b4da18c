"""Run flows in SimGrid: a program of its own, for the Python that Debian's python3-simgrid is built for.

Reads JSON from standard input: {"platform": file, "runs": [[chain, ...], ...]}. A chain is a list of phases, a phase a
list of [source host, target host, bytes]. The chains of a run start together; the phases of a chain follow each other,
each when the one before has arrived everywhere. Writes JSON: seconds of each run.

Updates are full, the plainest of SimGrid's algorithms: every rate at every event. Its lazy ones give the same figures
here (SimGrid 3.32, latencies zero).
"""

import json
import sys

from simgrid import Actor, Comm, Engine


def main() -> None:
    asked = json.load(sys.stdin)
    flags = ["network/model:CM02", "network/crosstraffic:0", "network/TCP-gamma:0", "network/optim:Full"]
    engine = Engine([sys.argv[0], *(f"--cfg={flag}" for flag in flags), "--log=root.thresh:error"])
    engine.load_platform(asked["platform"])
    hosts = {host.name: host for host in engine.all_hosts}
    first = next(iter(hosts.values()))
    seconds: list[float] = []

    def chain(phases: list[list[tuple[str, str, float]]]) -> None:
        for phase in phases:
            comms = [Comm.sendto_async(hosts[a], hosts[b], int(size)) for a, b, size in phase]
            Comm.wait_all(comms)

    def conduct() -> None:
        for number, chains in enumerate(asked["runs"]):
            start = Engine.clock
            actors = [Actor.create(f"run {number} chain {i}", first, chain, phases) for i, phases in enumerate(chains)]
            for actor in actors:
                actor.join()
            seconds.append(Engine.clock - start)

    Actor.create("conductor", first, conduct)
    engine.run()
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main()
