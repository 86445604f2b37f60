# make demo   the sample recording through forecaster, safety node and robot; report in demo_out/
# make test   linters, types and all tests
# Both set everything up in .venv first; a second run takes seconds.

.PHONY: demo test lint setup clean

demo: setup
	.venv/bin/ses-gcn demo $(ARGS)

test: lint
	.venv/bin/pytest $(ARGS)

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

setup:
	@tools/setup.sh

clean:
	rm -rf .venv build install log demo_out
