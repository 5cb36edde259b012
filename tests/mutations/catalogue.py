"""What is broken on purpose, and which tests must turn red."""

from dataclasses import dataclass

LAYERS = ("lint-imports",)


@dataclass(frozen=True)
class Mutation:
    """Replaces `old`, which stands exactly once in `path`, by `new`. `tests` are pytest's names, or LAYERS."""

    name: str
    why: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


_SECURITY = "tests/migrations/test_row_level_security.py"
_EVERY_TABLE = f"{_SECURITY}::test_every_table_of_tenants_and_every_partition_has_forced_security_and_its_policy"
_POLICY = "CREATE POLICY tenant ON %s TO paid_tenant USING (account_id = (SELECT current_account()))"
_EXECUTE_POLICY = f"    EXECUTE format('{_POLICY}', member);\n"

_BY_TEXT = "tests/agent_runs/test_runs_by_text.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "drop a policy",
        "one table of tenants is left without its policy",
        "paid/lib/sql/foundation.sql",
        _EXECUTE_POLICY,
        f"    IF member::text <> 'issues' THEN\n  {_EXECUTE_POLICY}    END IF;\n",
        (_EVERY_TABLE,),
    ),
    Mutation(
        "open a policy",
        "the policy is there and lets everybody see everything",
        "paid/lib/sql/foundation.sql",
        "TO paid_tenant USING (account_id = (SELECT current_account()))', member);",
        "TO paid_tenant USING (true)', member);",
        (f"{_SECURITY}::test_a_tenant_without_rows_sees_none_of_the_others",),
    ),
    Mutation(
        "break the rollup of a settlement",
        "a second call of the day no longer adds its cost to the day's sum",
        "metrics/sql/gateway_calls.sql",
        "+ excluded.cache_write_tokens,\n        cost_usd = kept.cost_usd + excluded.cost_usd",
        "+ excluded.cache_write_tokens,\n        cost_usd = excluded.cost_usd",
        (
            "tests/metrics/test_ledger.py::test_reconciling_finds_equality",
            "tests/metrics/test_ledger.py::test_settling_books_the_row_the_day_the_run_and_the_escrow",
        ),
    ),
    Mutation(
        "forget the outbox",
        "a run is started without a command to Temporal",
        "workflows/operations/runs.py",
        '    command_run(run, START_SIGNAL, **({} if cap_usd is None else {"asks_for_model": True}))\n',
        "",
        ("tests/workflows/test_operations.py::test_it_decides_everything_in_one_transaction",),
    ),
    Mutation(
        "remove the idempotency key of commands",
        "one decision that is written twice becomes two commands",
        "paid/lib/outbox.py",
        "signal, json.dumps(dict(payload)), dedupe_key]",
        "signal, json.dumps(dict(payload)), f\"{dedupe_key}-{id(connection)}-{__import__('uuid').uuid4()}\"]",
        ("tests/workflows/test_outbox.py::test_one_decision_that_is_written_twice_is_one_command",),
    ),
    Mutation(
        "remove the idempotency key of the ledger",
        "a report that comes twice is not recognised",
        "metrics/sql/gateway_calls.sql",
        "    DELETE FROM gateway_calls c WHERE c.request_id = p_request_id\n",
        "    UPDATE gateway_calls c SET gateway_id = '' WHERE c.request_id = p_request_id\n",
        ("tests/metrics/test_ledger.py::test_the_same_report_twice_is_one_row",),
    ),
    Mutation(
        "post what was posted before",
        "what a run's calls came to is added to it again with each posting",
        "metrics/sql/posting.sql",
        "    PERFORM spend_forget(p_run_id);\nEND",
        "END",
        (
            "tests/metrics/test_posting.py::"
            "test_what_calls_come_to_is_on_the_escrow_first_and_in_the_run_once_it_is_posted",
        ),
    ),
    Mutation(
        "remove the marker of pull requests",
        "a second attempt to publish opens a second pull request",
        "projects/forges/local.py",
        "        if found is not None:\n            if found.state == PullRequestState.OPEN and",
        "        if found is not None and marker == '':\n            if found.state == PullRequestState.OPEN and",
        ("tests/projects/test_local_forge.py::test_one_marker_makes_one_pull_request",),
    ),
    Mutation(
        "let the sandbox share the network",
        "an agent reaches the host's ports",
        "agent_runs/sandbox/arguments.py",
        '"--unshare-net", ',
        "",
        ("tests/agent_runs/test_seal.py::test_there_is_no_network_device_but_loopback",),
    ),
    Mutation(
        "sum Claude's assistant usage",
        "the usage in assistant events, the count at their beginning, is taken for spending",
        "agent_runs/agents/claude_code.py",
        "            for block in blocks:\n                yield _block_event(",
        '            if kind == "assistant":\n'
        '                yield event_of(record, "usage", _usage_words(line["message"]), line["message"])\n'
        "            for block in blocks:\n                yield _block_event(",
        ("tests/agent_runs/test_claude_code.py::test_usage_is_taken_once_from_the_closing_event_and_never_summed",),
    ),
    Mutation(
        "sum the usage of a stream",
        "the gateway adds up counts that each repeat the whole",
        "metrics/gateway/anthropic.py",
        "return value if type(value) is int and 0 <= value <= MOST_TOKENS else known",
        "return known + value if type(value) is int and 0 <= value <= MOST_TOKENS else known",
        ("tests/metrics/test_gateway.py::test_tokens_and_cost_equal_the_models_own_count_to_the_last_digit",),
    ),
    Mutation(
        "reverse an import",
        "a lower floor imports a higher one",
        "projects/mirror.py",
        "from projects.models import ",
        "from workflows.contracts import RunRef  # noqa: F401\nfrom projects.models import ",
        LAYERS,
    ),
    Mutation(
        "log a token in the gateway",
        "the run token is in the log of whoever admits a call",
        "metrics/gateway/app.py",
        '        token_hash = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()\n',
        '        token_hash = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()\n'
        '        logger.warning("a call with %s", token)\n',
        ("tests/metrics/test_gateway.py::test_no_log_tells_a_token_or_a_key",),
    ),
    Mutation(
        "log a token of the worker",
        "the run token is in the log of the worker that made it",
        "workflows/activities/agent.py",
        "        with tenant(run.account_id):\n            set_run_token(run=run, token=token)\n",
        "        with tenant(run.account_id):\n            set_run_token(run=run, token=token)\n"
        '        activity.logger.warning("made %s", token)\n',
        ("tests/workflows/test_whole_way.py::test_the_run_token_is_in_the_agents_environment_and_nowhere_else",),
    ),
    Mutation(
        "spool a token",
        "what an agent says of its token is kept",
        "agent_runs/supervisor/watch.py",
        'line.replace(secret, b"[run token]")',
        "line.replace(secret, secret)",
        ("tests/agent_runs/test_supervisor.py::test_the_token_is_nowhere_but_in_the_agents_environment",),
    ),
    Mutation(
        "trust the host's clock",
        "a gateway takes the calls that it carries for leftovers of an earlier life",
        "metrics/gateway/app.py",
        "self._sweep_for_ever(await self.ledger.now())",
        "self._sweep_for_ever(await self.ledger.now() + timedelta(hours=1))",
        ("tests/metrics/test_gateway.py::test_a_host_whose_clock_is_an_hour_ahead_sweeps_no_call_that_still_runs",),
    ),
    Mutation(
        "work without a heartbeat",
        "a clone whose worker was killed is noticed after fifteen minutes",
        "workflows/activities/attempts.py",
        "        while not ended.wait(BEAT_SECONDS):\n            activity.heartbeat()\n",
        "        ended.wait()\n",
        ("tests/workflows/test_attempts.py::test_it_shows_that_it_lives_while_it_works",),
    ),
    Mutation(
        "let two attempts work at once",
        "a worker that wakes after its time-out and its successor write into one directory",
        "workflows/activities/attempts.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        (
            "tests/workflows/test_attempts.py::test_an_attempt_that_was_superseded_while_it_waited_does_not_begin",
            "tests/workflows/test_attempts.py::test_a_second_attempt_waits_until_the_first_lets_go",
        ),
    ),
    Mutation(
        "say nothing of a full disk",
        "the supervisor dies of it, and the run is told as one whose host was restarted",
        "agent_runs/supervisor/watch.py",
        "            except SpoolFailed as failure:\n",
        "            except ZeroDivisionError as failure:\n",
        ("tests/agent_runs/test_supervisor.py::test_a_disk_without_room_for_the_spool_ends_the_agent_and_says_so",),
    ),
    Mutation(
        "forget an issue's new title",
        "a run is found by the title that its issue had",
        "agent_runs/sql/run_texts.sql",
        "SET body = searched_text(NEW.title, branch, error)",
        "SET body = searched_text(OLD.title, branch, error)",
        (f"{_BY_TEXT}::test_the_texts_follow_every_change_and_can_be_filled_for_the_runs_of_the_past",),
    ),
    Mutation(
        "overlook half of a span",
        "a search by text goes on behind an hour of which it took only some",
        "agent_runs/sql/mentions.sql",
        "AND hour_of(held.moment) BETWEEN lower_hour AND upper_hour",
        "AND hour_of(held.moment) BETWEEN lower_hour + width / 8 AND upper_hour",
        (f"{_BY_TEXT}::test_pages_of_a_text_and_a_filter_are_the_same_as_the_list_without_an_index",),
    ),
)
