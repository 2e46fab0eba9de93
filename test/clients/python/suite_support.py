"""What the public tests of azure-cosmos expect around them: a pytest plugin.

Their package `devtools_testutils` is not published; they use two of its functions. Some tests replace functions of the
client and put them back only where they succeed, so one failure would make all that follow fail.
"""

import os
import sys
import types

import aiohttp
import pytest
import urllib3.connectionpool


def _module(name, **functions):
    module = types.ModuleType(name)
    module.__dict__.update(functions)
    sys.modules[name] = module


def _get_credential(is_async=False):
    return os.environ["ACCOUNT_KEY"]


_module("devtools_testutils")
_module("devtools_testutils.azure_recorded_testcase", get_credential=_get_credential)
_module("devtools_testutils.helpers", is_live=lambda: True)


_requests = 0


def _counted(owner, name):
    original = getattr(owner, name)

    def call(*args, **kwargs):
        global _requests
        _requests += 1
        return original(*args, **kwargs)

    setattr(owner, name, call)


# The two ways in which the client sends a request; a test that sends none is about the client alone.
_counted(urllib3.connectionpool.HTTPConnectionPool, "urlopen")
_counted(aiohttp.ClientSession, "_request")


def pytest_collection_modifyitems(config, items):
    """Leaves out what left-out.txt names, asynchronous twins too."""
    with open("left-out.txt") as names:
        left_out = set(names.read().split())
    kept, dropped = [], []
    for item in items:
        name = item.originalname if hasattr(item, "originalname") else item.name
        (dropped if name.removesuffix("_async") in left_out or name in left_out else kept).append(item)
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


@pytest.fixture(autouse=True)
def _restored(record_property):
    from azure.cosmos import _retry_utility, _synchronized_request
    from azure.cosmos._execution_context.base_execution_context import _QueryExecutionContextBase
    from azure.cosmos.aio import _asynchronous_request, _retry_utility_async

    owners = [
        _retry_utility,
        _retry_utility_async,
        _synchronized_request,
        _asynchronous_request,
        _QueryExecutionContextBase,
    ]
    before = [(owner, dict(vars(owner))) for owner in owners]
    sent = _requests
    yield
    record_property("requests", _requests - sent)
    for owner, values in before:
        for name, value in values.items():
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)
