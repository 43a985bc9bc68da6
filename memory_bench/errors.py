"""What can be the user's to mend. Anything else that is raised is a bug, and is shown as one."""


class BadInput(ValueError):
    """The user's mistake, in one line: the value, what was expected, what to type. The command exits with 2."""


class Withheld(BadInput):
    """What was typed may be a key or a password: it is refused, shown nowhere, and kept in no file."""


class Unavailable(ImportError):
    """A choice that cannot run here: the reason and the line that installs what is missing. A sweep goes on."""


class NoAnswer(Unavailable):
    """A reader that answers nothing was asked. The runner notes why; a memory that needs answers cannot run with it."""
