"""What this machine, or a cluster, has to hand out to stages, and what a stage is told of its place."""

import os

from pipeline.jobs import devices
from pipeline.jobs.graph import DEVICE
from pipeline.jobs.scheduling import Machine, Place
from pipeline.params.schema import Params
from pipeline.work import cluster
from pipeline.work.parallel import cores

THREADS = "OMP_NUM_THREADS"


def find(params: Params, jobs: int) -> Machine:
    """This machine's cores (`jobs` of them) and GPUs, or the cluster's instead of the GPUs.

    Raises UserError where cluster.address is set and no cluster answers.
    """
    per_gpu = params.jobs.per_gpu
    if params.cluster.address is not None:
        return Machine(jobs, (None,) * cluster.places(params.cluster.address, per_gpu))
    # All GPUs get their first stage before one of them gets its second.
    return Machine(jobs, tuple(devices.gpus()) * per_gpu)


def environment(machine: Machine, place: Place) -> dict[str, str]:
    """The variables of a stage: its GPU, and its share of the cores, unless the user has said otherwise."""
    found = {devices.VISIBLE: place.device} if place.device is not None else {}
    elsewhere = place.queue == DEVICE and place.device is None  # a cluster's nodes have cores of their own
    if THREADS not in os.environ and not elsewhere:
        side = len(machine.devices) if place.queue == DEVICE else machine.cores
        found[THREADS] = str(max(1, cores() // side))
    return found


def usable(machine: Machine, place: Place) -> set[int] | None:
    """The cores that a stage may use: where others have this machine's GPUs, each of those keeps one core free."""
    own = [device for device in machine.devices if device is not None]
    if not own or place.queue == DEVICE or not hasattr(os, "sched_getaffinity"):
        return None
    every = sorted(os.sched_getaffinity(0))
    return set(every[min(len(own), len(every) - 1) :])
