"""What a search found: its trials, the front none of them dominates, and which configuration to take."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma.errors import StorageError
from msma.readings import BETTER, UNITS
from msma.results import Result, Row
from msma.storage import read_json, write_json
from msma.tuning.choice import Recommendation, Trial, recommend, tell_params
from msma.tuning.trials import OBJECTIVES, is_dominated

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A search over the parameters of the learned map.

    Args:
        trials: All that came to an end, by number.
        objectives: What was searched for.
        confirmation: Rows of the recommended configuration on the test split, beside the closed form.
        provenance: Model, texts, space, budget and versions.
    """

    trials: tuple[Trial, ...]
    objectives: tuple[str, ...]
    confirmation: tuple[Row, ...] = ()
    provenance: Mapping[str, Any]

    @property
    def complete(self) -> tuple[Trial, ...]:
        """Trials that were neither pruned nor failed."""
        return tuple(trial for trial in self.trials if trial.state == "complete")

    @property
    def front(self) -> tuple[Trial, ...]:
        """Complete trials that no other beats in one objective without losing in another; best R2 first."""
        directions = [OBJECTIVES[name][1] for name in self.objectives]
        points = [[trial.values[name] for name in self.objectives] for trial in self.complete]
        found = [
            trial
            for trial, point in zip(self.complete, points, strict=True)
            if not is_dominated(point, points, directions)
        ]
        return tuple(sorted(found, key=lambda trial: (-trial.values["r2"], trial.number)))

    def recommend(self) -> Recommendation:
        """Choose a configuration on the validation split; see :func:`msma.tuning.choice.recommend`.

        Returns:
            Parameters and the reason in a plain sentence.
        """
        return recommend(self.complete)

    def to_result(self) -> Result:
        """Return every trial's objectives, and the confirmation on test, as rows.

        Returns:
            Rows by objective and trial (column ``map``) on validation, then those on test.
        """
        on_front = {trial.number for trial in self.front}
        rows = []
        for trial in self.trials:
            place = "on the front" if trial.number in on_front else trial.state
            note = "; ".join(part for part in (place, tell_params(trial.params), trial.note) if part)
            for name in self.objectives:
                reading = OBJECTIVES[name][0]
                row = Row(
                    metric=reading,
                    value=trial.values.get(name),
                    units=UNITS[reading],
                    better=BETTER[reading],
                    split="validation",
                    map=f"trial {trial.number}",
                    note=note,
                )
                rows.append(row)
        return Result("tuning", (*rows, *self.confirmation), self.provenance)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the trials as plain dictionaries, one column a parameter and objective.

        Returns:
            One dictionary a trial.
        """
        on_front = {trial.number for trial in self.front}
        return [
            {
                "trial": trial.number,
                "state": trial.state,
                "is_on_front": trial.number in on_front,
                **{name: trial.values.get(name) for name in self.objectives},
                **{
                    name: trial.params.get(name)
                    for name in dict.fromkeys(n for t in self.trials for n in t.params)
                },
                "seconds": trial.seconds,
                "note": trial.note,
            }
            for trial in self.trials
        ]

    def to_frame(self) -> "pd.DataFrame":
        """Return the trials as a pandas table.

        Returns:
            One row a trial, one column a parameter and objective.

        Raises:
            MissingExtraError: When pandas is not installed.
        """
        # Result is the one door to pandas; its tables are of the kind wanted here.
        return self.to_result().to_frame().from_records(self.to_records())

    def plot(self, *, ax: "Axes | None" = None, width: float = 7.0) -> "Axes":
        """Draw R2 against the other objectives, with the front.

        Args:
            ax: Axes to draw on; new ones when left out.
            width: Width of a new figure in inches.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting.pareto import plot_pareto

        recommended = self.recommend().trial
        closed = [trial.number for trial in self.complete if trial.is_closed]
        others = {OBJECTIVES[n][0]: n for n in self.objectives if n != "r2"} or {"r2": "r2"}
        points = [
            {"trial": t.number, "state": t.state, **{OBJECTIVES[n][0]: v for n, v in t.values.items()}}
            for t in self.trials
        ]
        return plot_pareto(
            points,
            objectives=["r2", *others],
            front=[trial.number for trial in self.front],
            closed=closed,
            recommended=recommended,
            ax=ax,
            width=width,
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the search as JSON.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        content = {
            "trials": [asdict(trial) for trial in self.trials],
            "objectives": self.objectives,
            "confirmation": [asdict(row) for row in self.confirmation],
            "provenance": dict(self.provenance),
        }
        return write_json(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            An equal search.

        Raises:
            StorageError: When the file is missing or holds no search.
        """
        content = read_json(path)
        try:
            trials = (
                Trial(**{**trial, "r2_left_out": tuple(trial["r2_left_out"])}) for trial in content["trials"]
            )
            return cls(
                trials=tuple(trials),
                objectives=tuple(content["objectives"]),
                confirmation=tuple(Row(**row) for row in content["confirmation"]),
                provenance=content["provenance"],
            )
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"'{path}' does not hold a search ({error}); give a file of Tuning.save"
            ) from error
