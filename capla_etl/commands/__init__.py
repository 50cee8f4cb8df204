"""One module per command of ``capla``: ``add_arguments(parser)`` and ``run(options)``, whose docstring's first line is the command's help."""
