"""One module per command of ``capla``: ``add_arguments(parser)``; ``run(options)``, whose docstring is the help."""
