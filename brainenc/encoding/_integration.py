"""Sites that integrate modalities: what was found, by bin, by site and by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.persist import Saved

PLACE = ("region", "roi", "shaft", "hemi", "x", "y", "z", "driver")
SITE = ["subject", "channel"]


@dataclass(frozen=True, slots=True, eq=False)
class Integration(Saved):
    """What `multimodal_sites` found.

    Parameters
    ----------
    sites : DataFrame
        One row a site (contact, sensor): subject, channel, what is known of its place (region, x, y, z …), ``multimodal``, ``weakest`` (the
        comparison and event structure in which it has the fewest significant bins) and one column ``bins: <comparison>`` for each comparison,
        its significant bins in the event structure with the fewest.
    effects : DataFrame
        One row a site, event structure and comparison: n_bins (significant), passes, mean_difference with ci_low and ci_high (Δr, mean over *all*
        bins, 95 %; against the unimodal model with the smallest one), mean_z (the same on Fisher's z), peak_difference, peak_time, peak_low,
        peak_high (at the bin of the largest Δr, which flatters it).
    bins : DataFrame
        One row a site, event structure, comparison and time: against (the model that is hardest to beat there), difference (Δr), ci_low, ci_high,
        p (one-sided), q (within subject, event structure and comparison).
    models : DataFrame
        One row a site, event structure, model and time: score (held-out Pearson's r).
    criteria : dict
        Models and their roles, comparisons, alpha, min_bins, n, seed, split, block (events) of each structure, edge_share of each (the share of
        targets whose penalty is at the edge of the grid, by model: those without signal are).
    """

    sites: pd.DataFrame
    effects: pd.DataFrame
    bins: pd.DataFrame
    models: pd.DataFrame
    criteria: Mapping[str, Any]

    @classmethod
    def stack(cls, found: Sequence[Integration]) -> Integration:
        """Join what was found in several subjects under the same criteria.

        Raises
        ------
        InputError
            For none, for a subject that is there twice, and for other models, comparisons or levels.
        """
        if not found:
            raise InputError("nothing to stack", where="Integration.stack", expected="at least one Integration", got="none")
        names = [name for one in found for name in pd.unique(one.sites["subject"])]
        same = ("roles", "comparisons", "alpha", "min_bins", "structures")
        if len(set(names)) < len(names) or any(one.criteria[key] != found[0].criteria[key] for one in found for key in same):
            got = f"subjects {', '.join(names)}" if len(set(names)) < len(names) else "other models, comparisons, alpha or min_bins"
            raise InputError("only different subjects under the same criteria are joined", where="Integration.stack", got=got)
        join = lambda name: pd.concat([getattr(one, name) for one in found], ignore_index=True)  # noqa: E731
        return cls(join("sites"), join("effects"), join("bins"), join("models"), found[0].criteria)

    @property
    def comparisons(self) -> list[str]:
        """Names of the comparisons that a multimodal site has to pass."""
        return list(self.criteria["comparisons"])

    def regions(self, column: str | None = None) -> pd.DataFrame:
        """Return the share of multimodal sites of each region with its 95 % Wilson interval, and the gain of its sites.

        ``gain`` is the mean over all sites of a region, multimodal or not, of Δr over the concatenation (mean over bins, the smaller one of several
        event structures); ``gain_low`` and ``gain_high`` are its smallest and largest site.

        Parameters
        ----------
        column : str, optional
            Of the sites; ``"region"``, ``"roi"`` or ``"shaft"``, the first that there is, when not given.

        Notes
        -----
        The interval takes sites for independent, which neighbours on a shaft are not: read it as the least uncertainty there is.
        """
        from scipy.stats import binomtest

        known = [name for name in ("region", "roi", "shaft") if name in self.sites]
        if column is None and not known:
            raise InputError("nothing is known about regions", where="Integration.regions", expected="a column region, roi or shaft of the targets")
        column = one_of(column or known[0], tuple(self.sites.columns), "column")
        rows, gain = [], self.to_image("concatenation")["value"]
        for region, group in self.sites.groupby(column, sort=False, dropna=False):
            k, n = int(group["multimodal"].sum()), len(group)
            low, high = binomtest(k, n).proportion_ci(method="wilson")
            mine = gain.loc[group.index]
            rows.append({column: region, "n_sites": n, "n_multimodal": k, "share": k / n, "ci_low": low, "ci_high": high, "gain": mine.mean(),
                         "gain_low": mine.min(), "gain_high": mine.max()})  # fmt: skip
        return pd.DataFrame(rows).sort_values(["share", "n_sites"], ascending=False, ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of ``effects``."""
        return self.effects.copy()

    def to_image(self, comparison: str | None = None) -> Any:
        """Return the table of contacts with a column ``value``: the mean Δr of a comparison, or 1 for multimodal sites and 0 for others.

        Where there are several event structures the smallest of their differences is taken.
        """
        from brainenc.nouns.spaces import ContactSpace

        if comparison is None:
            values = self.sites["multimodal"].astype(float)
        else:
            one_of(comparison, tuple(self.comparisons), "comparison")
            least = self.effects[self.effects["comparison"] == comparison].groupby(SITE, sort=False)["mean_difference"].min()
            values = pd.Series(least.reindex(pd.MultiIndex.from_frame(self.sites[SITE])).to_numpy())
        return ContactSpace(self.sites).paint(values.to_numpy(dtype=np.float64))

    def __repr__(self) -> str:
        n, many = int(self.sites["multimodal"].sum()), len(self.sites)
        where, passed = " and ".join(self.criteria["structures"]), ", ".join(self.comparisons)
        level = f"q < {self.criteria['alpha']:g} in {self.criteria['min_bins']} bins"
        return f"Integration({n} of {many} sites multimodal in {where}; {passed}; {level})"

    def _repr_html_(self) -> str:
        from brainenc.core.html import facts

        return facts(type(self).__name__, {"found": repr(self)}) + self.sites.head(24).to_html(escape=True, index=False, float_format="%.3g")
