"""What a command prints."""

from equipoise.cli.saying import say, say_aside


def test_results_go_to_one_stream_and_what_goes_on_to_the_other(capsys):
    say("one", "two")
    say_aside("three")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("one\ntwo\n", "three\n")


def test_names_of_others_steer_no_terminal_and_break_no_line(capsys):
    say("dark\x1b[2J\nskin")
    say_aside("light\rskin")
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert said.out.count("\n") == said.err.count("\n") == 1
    assert "\r" not in said.err
