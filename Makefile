# make demo        the sample recording through forecaster, safety node and robot; report in demo_out/
# make test        linters, types and all tests, on two cores in under 20 minutes
# make test-fast   the same in a short form, without what trains or replays at length: under 3 minutes
# All set everything up in .venv first; a second run takes seconds.

.PHONY: demo test test-fast lint setup clean

demo: setup
	.venv/bin/ses-gcn demo $(ARGS)

test: lint
	.venv/bin/pytest -n 2 --dist loadgroup $(ARGS)

test-fast: setup
	.venv/bin/ruff check .
	.venv/bin/pytest -n 2 --dist loadgroup --short -m 'not slow' $(ARGS)

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

setup:
	@tools/setup.sh

clean:
	rm -rf .venv build install log demo_out
