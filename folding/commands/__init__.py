"""The commands of ``fold-model``, one file each, and the options that they share."""
