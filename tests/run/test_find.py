"""`find`: hidden groups from a table of predictions and vectors, through the command; what does not fit is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from equipoise.cli import main
from equipoise.report import read, read_find
from equipoise.seeds import child_seed
from equipoise.slices import Options
from equipoise.slices import find as slices_in


class Case:
    """Two kinds that a model fails, in two classes: their vectors, and the table of predictions as columns."""

    def __init__(self, scene):
        self.vectors, self.labels, logits, self.hidden = scene
        n = len(self.labels)
        self.called = (logits > 0).astype(int)
        names = np.array(["cat", "dog"])
        self.columns = {
            "path": [f"p/{i}.png" for i in range(n)],
            "label": names[self.labels].tolist(),
            "predicted": names[self.called].tolist(),
            "site": ["d" if self.hidden[i] >= 0 else "abc"[i % 3] for i in range(n)],
            "right": (self.labels == self.called).tolist(),
        }

    def write(self, folder, rows=slice(None), **columns):
        """Writes p.csv and v.npy of some rows."""
        table = pa.table({name: np.array(values)[rows] for name, values in (self.columns | columns).items()})
        pyarrow.csv.write_csv(table, folder / "p.csv")
        np.save(folder / "v.npy", self.vectors[rows])
        return ["find", str(folder / "p.csv"), "--vectors", str(folder / "v.npy"), f"--out={folder / 'out'}"]


@pytest.fixture(scope="module")
def case(planted_slices):
    return Case(planted_slices())


@pytest.fixture(scope="module")
def found(case, tmp_path_factory):
    """A folder with what was found."""
    folder = tmp_path_factory.mktemp("find")
    assert main(case.write(folder)) == 0
    return folder


def test_what_is_found_is_what_the_function_finds(case, found):
    record = read_find(found / "out")
    expected = slices_in(
        case.vectors,
        case.labels,
        case.called,
        columns={"site": case.columns["site"]},
        class_names=("cat", "dog"),
        options=Options(seed=child_seed(0, "slices")),
    )
    assert [one.name for one in record.slices.found] == [one.name for one in expected.slices]
    assert {one.name for one in record.slices.found} == {"cat #1", "dog #1"}
    assert [one.errors for one in record.slices.found] == [one.errors for one in expected.slices]
    assert record.slices.columns == ["site"]
    assert record.slices.found[0].more_often[0].value == "d"
    assert record.accuracy.value == np.mean(case.labels == case.called)
    assert record.data.labels == {"cat": 800, "dog": 800}
    assert record.data.dimensions == case.vectors.shape[1]
    slices = pq.read_table(found / "out" / "slices.parquet")
    assert slices["path"].to_pylist() == case.columns["path"]
    assert slices["slice"].to_pylist() == expected.column()


def test_the_answer_is_not_sought_in_and_that_is_said(found):
    notes = read_find(found / "out").data.notes
    assert any(note.startswith("Not sought in right: that follows") for note in notes)
    assert "Vectors of v.npy are taken to be in the order of the rows of p.csv" in notes


def test_the_page_and_the_terminal_say_it(found, capsys):
    page = (found / "out" / "report.html").read_text()
    assert "2 hidden groups found; the worst" in page
    assert "site = d in" in page
    assert "Most typical, nearest to its centre" in page
    assert "This run made no such picture" not in page
    capsys.readouterr()
    assert main(["report", str(found / "out")]) == 0
    said = capsys.readouterr().out
    assert "2 hidden groups (slices) were found" in said
    assert "Sought in vectors of 30 numbers, and in the column site." in said
    assert (found / "out" / "report.html").read_text() == page


def test_its_slices_are_groups_of_other_commands(found, tmp_path):
    groups = str(found / "out" / "slices.parquet")
    flags = ["--groups", groups, "--replicates=100", f"--out={tmp_path / 'e'}"]
    assert main(["evaluate", "--predictions", str(found / "p.csv"), *flags]) == 0
    counts = read(tmp_path / "e").data.group_counts["test"]["slice"]
    sizes = {one.name: one.size for one in read_find(found / "out").slices.found}
    assert {name: counts[name] for name in sizes} == sizes


def test_a_second_start_and_the_settings_file_give_the_same(case, found, tmp_path):
    first = (found / "out" / "find.json").read_text()
    numbers = read_find(found / "out").slices.found
    again = ["find", "--config", str(found / "out" / "settings.toml"), f"--out={tmp_path / 'again'}"]
    assert main(again) == 0
    assert read_find(tmp_path / "again").slices.found == numbers
    assert "slices" in first
    assert main([*case.write(found), "--seed=1"]) == 2  # another search lies there


def test_vectors_by_path_in_another_order_or_in_the_table(case, found, tmp_path):
    order = np.random.default_rng(0).permutation(len(case.labels))
    vectors = pa.table({"path": np.array(case.columns["path"])[order], "e": list(case.vectors[order])})
    pq.write_table(vectors, tmp_path / "v.parquet")
    case.write(tmp_path)
    one = [
        "find",
        str(tmp_path / "p.csv"),
        f"--vectors={tmp_path / 'v.parquet'}",
        f"--out={tmp_path / 'one'}",
    ]
    assert main(one) == 0
    pq.write_table(pa.table(case.columns | {"e": list(case.vectors)}), tmp_path / "p.parquet")
    assert main(["find", str(tmp_path / "p.parquet"), f"--out={tmp_path / 'two'}"]) == 0
    for place in ("one", "two"):
        assert read_find(tmp_path / place).slices.found == read_find(found / "out").slices.found


def test_columns_and_what_belongs_together_are_as_asked(case, tmp_path):
    n = len(case.labels)
    twice = np.repeat(np.arange(n // 2), 2)  # each subject has one picture of each class
    flags = case.write(
        tmp_path, subject=[f"s{i}" for i in twice], group=["d" if h >= 0 else "x" for h in case.hidden]
    )
    assert main([*flags, "--columns=group", "--together=subject"]) == 0
    record = read_find(tmp_path / "out")
    assert record.slices.columns == ["group"]
    sides = np.array(pq.read_table(tmp_path / "out" / "slices.parquet")["half"].to_pylist())
    assert (sides[::2] == sides[1::2]).all()


def test_scores_and_probabilities_will_do(case, tmp_path):
    scores = np.where(case.called == 1, 0.9, 0.1)
    flags = case.write(tmp_path, predicted=scores)
    table = pyarrow.csv.read_csv(tmp_path / "p.csv")
    pyarrow.csv.write_csv(
        table.rename_columns(["path", "label", "score", "site", "right"]), tmp_path / "p.csv"
    )
    assert main([*flags, "--positive-class=dog"]) == 0
    assert {one.name for one in read_find(tmp_path / "out").slices.found} == {"cat #1", "dog #1"}


def test_pictures_that_the_table_names_are_on_the_page(case, tmp_path):
    (tmp_path / "p").mkdir()
    for i in range(len(case.labels)):
        if case.hidden[i] >= 0:
            Image.new("RGB", (20, 30), (i % 256, 0, 0)).save(tmp_path / "p" / f"{i}.png")
    assert main(case.write(tmp_path)) == 0
    record = read_find(tmp_path / "out")
    typical = [row for one in record.slices.found for row in one.typical]
    assert (case.hidden[typical] >= 0).all()
    assert set(record.pictures) == {"slice_1", "slice_2"}
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/png") == 2


def refused(flags, capsys):
    """What is said with exit code 2."""
    capsys.readouterr()
    assert main(flags) == 2
    return " ".join(capsys.readouterr().err.split())


CAN_NOT = {
    "rows": (lambda c: c.vectors[:-1], [], "for each of 1,600 rows of p.csv; v.npy has 1,599"),
    "not finite": (lambda c: np.where(np.eye(1600, 30) > 0, np.nan, c.vectors), [], "finite"),
    "constant": (lambda c: np.ones((1600, 3)), [], "Features must differ between images"),
    "copies": (lambda c: c.vectors[np.arange(1600) % 8], [], "with copies and what belongs"),
    "no column": (None, ["--columns=place"], "Expected a column 'place' in p.csv"),
    "no subject": (None, ["--together=who"], "Expected a column 'who' in p.csv"),
    "no label": (None, ["--label-column=truth"], "truth"),
    "fdr": (None, ["--fdr=2"], "fdr must lie between 0 and 1"),
    "words alone": (None, ["--words=a,b"], "Expected one way to compare --words with pictures"),
    "encoder alone": (None, ["--text-encoder=hf:x"], "Expected --words beside --text-encoder"),
    "words twice": (None, ["--words=a,b,a", "--word-vectors=w.npy"], "each word once; got 'a' twice"),
    "no words": (None, ["--words=a,,b", "--word-vectors=w.npy"], "none empty"),
    "list gone": (None, ["--words=gone.txt", "--word-vectors=w.npy"], "Expected a list of words at gone.txt"),
    "list empty": (None, ["--words=empty.txt", "--word-vectors=w.npy"], "Expected words in empty.txt"),
    "vectors of words": (None, ["--words=a,b,c", "--word-vectors=w.npy"], "a vector for each of 3 words"),
    "zero word": (None, ["--words=a,b", "--word-vectors=zero.npy"], "must be finite and not 0"),
    "other space": (None, ["--words=a,b", "--word-vectors=w.npy"], "Expected vectors of words of 30 numbers"),
    "no model": (None, ["--words=a,b", "--text-encoder=timm:resnet18"], "got 'timm:resnet18'"),
}  # fmt: skip


@pytest.mark.parametrize("what", CAN_NOT)
def test_what_does_not_fit_is_refused_before_anything_is_written(case, what, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("w.npy", np.eye(2, 5))
    np.save("zero.npy", np.zeros((2, 30)))
    (tmp_path / "empty.txt").write_text("\n \n")
    flags = case.write(tmp_path)
    change, more, said = CAN_NOT[what]
    if change is not None:
        np.save("v.npy", change(case))
    assert said in refused([*flags, *more], capsys)
    assert not (tmp_path / "out" / "find.json").exists()
    assert not (tmp_path / "out" / "settings.toml").exists()


def test_few_images_are_too_few(case, tmp_path, capsys):
    assert "Expected at least 50 images" in refused(case.write(tmp_path, slice(40)), capsys)


def test_no_vectors_at_all_and_vectors_of_other_pictures(case, tmp_path, capsys):
    flags = case.write(tmp_path)
    assert "Expected --vectors of the images of p.csv" in refused([flags[0], flags[1], flags[-1]], capsys)
    others = pa.table({"path": [f"q/{i}.png" for i in range(1600)], "e": list(case.vectors)})
    pq.write_table(others, tmp_path / "v.parquet")
    said = refused([*flags[:2], f"--vectors={tmp_path / 'v.parquet'}", flags[-1]], capsys)
    assert "got none of 'p/0.png' in row 0 (1,600 of 1,600 rows have none)" in said
    twice = pa.table({"path": ["p/1.png"] * 1600, "e": list(case.vectors)})
    pq.write_table(twice, tmp_path / "v.parquet")
    said = refused([*flags[:2], f"--vectors={tmp_path / 'v.parquet'}", flags[-1]], capsys)
    assert "Paths must tell pictures apart" in said


@pytest.mark.parametrize(
    ("called", "said"),
    [
        (lambda c: c.labels, "The model is right in all of 1600 images"),
        (lambda c: np.where(c.labels == 1, 0, c.called), "fails as a whole"),
        (lambda c: np.where(c.labels == 1, 1, c.called), "none of 800 images is wrong"),
    ],
)
def test_where_there_is_nothing_to_find_that_is_said(case, called, said, tmp_path):
    names = np.array(["cat", "dog"])
    assert main([*case.write(tmp_path, predicted=names[called(case)]), "--quiet"]) == 0
    record = read_find(tmp_path / "out")
    assert said in " ".join([*record.slices.notes, *(one.reason or "" for one in record.slices.classes)])
    assert said in (tmp_path / "out" / "report.html").read_text()


def test_one_class_is_searched_alone(case, tmp_path):
    flags = case.write(tmp_path, np.flatnonzero(case.labels == 0))
    assert main(flags) == 0
    record = read_find(tmp_path / "out")
    assert [one.name for one in record.slices.found] == ["cat #1"]
    assert any("All images are of cat" in note for note in record.slices.notes)


def test_words_by_vectors_of_the_same_space(case, tmp_path, capsys):
    words = np.eye(30)[15:19].astype(np.float32)  # the first two are what the failing kinds show
    np.save(tmp_path / "w.npy", words)
    (tmp_path / "w.txt").write_text("forest\nwater\n\na dark room\nnothing\n")
    flags = [f"--words={tmp_path / 'w.txt'}", f"--word-vectors={tmp_path / 'w.npy'}"]
    capsys.readouterr()
    assert main([*case.write(tmp_path), *flags]) == 0
    said = " ".join(capsys.readouterr().out.split())
    record = read_find(tmp_path / "out")
    assert record.slices.words.words == ["forest", "water", "a dark room", "nothing"]
    assert record.slices.words.by == "the vectors of w.npy"
    near = {one.name: [word.word for word in one.words] for one in record.slices.found}
    assert near == {"cat #1": ["forest"], "dog #1": ["water"]}
    assert all(one.words[0].cosine > one.words[0].rest + 0.2 for one in record.slices.found)
    assert "near “forest” (p below 0.0001)" in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Nearer than the rest of the class to “water” (in " in page
    assert "4 words that you gave were compared" in page


def test_where_no_word_passes_that_is_said(case, tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.eye(30)[20:21].astype(np.float32))
    flags = ["--words=snow", f"--word-vectors={tmp_path / 'w.npy'}"]
    capsys.readouterr()
    assert main([*case.write(tmp_path), *flags]) == 0
    assert "None of your words passes the test for any of them." in capsys.readouterr().out
    assert not any(one.words for one in read_find(tmp_path / "out").slices.found)
    assert "None of your words passes the test for it." in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_words_by_a_model_of_pictures_and_texts(case, clip_folder, tmp_path, capsys):
    model = clip_folder(tmp_path / "clip", taught=True)
    (tmp_path / "p").mkdir()
    shades = np.random.default_rng(0).integers(0, 60, (1600, 3))
    for i, shade in enumerate(shades):
        colour = (255, *shade[1:]) if case.hidden[i] >= 0 else (*shade[:2], 255)
        Image.new("RGB", (16, 16), tuple(map(int, colour))).save(
            tmp_path / "p" / f"{i}.png", compress_level=0
        )
    flags = [
        f"--text-encoder=hf:{model}",
        "--words=red,blue",
        f"--cache={tmp_path / 'cache'}",
        "--device=cpu",
    ]
    capsys.readouterr()
    assert main([*case.write(tmp_path), *flags]) == 0
    assert "over 1,600 pictures, to compare words with them" in capsys.readouterr().err
    record = read_find(tmp_path / "out")
    assert [[word.word for word in one.words] for one in record.slices.found] == [["red"], ["red"]]
    assert record.slices.words.by == "hf:…/clip"
    assert str(tmp_path) not in (tmp_path / "out" / "find.json").read_text()
    (tmp_path / "p" / "7.png").unlink()
    said = refused([*case.write(tmp_path), *flags, "--overwrite"], capsys)
    assert "7.png of row 7 is missing" in said
