"""Which uploads are refused when more audio comes in than there is room for."""

from gateway.submitting.upload_budget import SMALL_BYTES, Share, UploadBudget

MEGABYTE = 1_000_000


def shares(count: int, most_mb: int) -> list[Share]:
    budget = UploadBudget(most_mb * MEGABYTE)
    return [Share(budget) for _ in range(count)]


def test_of_many_that_begin_at_once_the_first_ones_are_taken() -> None:
    uploads, done = shares(30, 256), list[Share]()
    for _ in range(95):
        for upload in uploads:
            if upload not in done and not upload.add(MEGABYTE):
                done.append(upload)
    assert [upload not in done for upload in uploads] == [True, True] + [False] * 28


def test_a_clip_is_taken_whatever_else_is_under_way() -> None:
    large, clip = shares(2, 10)
    assert large.add(10 * MEGABYTE)
    assert clip.add(SMALL_BYTES) and not clip.add(1), "beyond the size of a clip, it counts as the upload that began last"
    assert large.add(0)


def test_what_is_answered_makes_room() -> None:
    first, second, third = shares(3, 10)
    assert first.add(6 * MEGABYTE) and not second.add(6 * MEGABYTE)
    first.end()
    first.end()
    assert third.add(10 * MEGABYTE)
