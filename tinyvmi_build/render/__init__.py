"""From a configuration and profiles to the text files of a build folder."""
