"""The study's flow: settings, workspace, one case from top to bottom, the engine that runs many, the command line."""
