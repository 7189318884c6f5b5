from pathlib import Path

import pytest

from nin_bench.cgroups import cpu_quota, memory_limit

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


@pytest.fixture
def system(tmp_path):
    """Writes what /proc and /sys say, as a mapping of paths to texts, and returns where."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_version_2_and_the_groups_around_it(system):
    root = system(
        {
            "proc/self/cgroup": "0::/jobs/mine\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/jobs/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/jobs/mine/cpu.max": "max 100000\n",
            "sys/fs/cgroup/jobs/memory.max": "max\n",
            "sys/fs/cgroup/jobs/mine/memory.max": "2147483648\n",
        }
    )
    assert cpu_quota(root) == 1.5
    assert memory_limit(root) == 2**31


def test_version_1_where_a_part_of_the_tree_is_mounted(system):
    root = system(
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
            "proc/self/mountinfo": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
        }
    )
    assert cpu_quota(root) == 0.5
    assert memory_limit(root) == 2**30


def test_no_limit(system):
    root = system(
        {
            "proc/self/cgroup": "4:memory:/\n2:cpu,cpuacct:/\n",
            "proc/self/mountinfo": V1,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        }
    )
    assert (cpu_quota(root), memory_limit(root)) == (None, None)


@pytest.mark.parametrize("told", [{}, {"proc/self/cgroup": "0::/../..\n", "proc/self/mountinfo": V2}])
def test_what_the_system_does_not_tell_is_no_limit(system, told):
    assert (cpu_quota(system(told)), memory_limit(system(told))) == (None, None)
