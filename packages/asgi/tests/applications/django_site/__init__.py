"""A Django project as the tutorial of Channels has it."""
