"""Networks that forecast human motion: one file per published model, plain torch modules."""
