"""BibTeX of what you used: `cite("fido", "blur")`, or `fidojax cite fido blur`."""

from fidojax.names import check_name

BIBTEX = {
    "fido": """\
@inproceedings{chang2019fido,
  title     = {Explaining Image Classifiers by Counterfactual Generation},
  author    = {Chang, Chun-Hao and Creager, Elliot and Goldenberg, Anna and Duvenaud, David},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2019},
  eprint    = {1807.08024},
  archiveprefix = {arXiv}
}""",
    "vdsm": """\
@misc{chang2017vdsm,
  title  = {Interpreting Neural Network Classifications with Variational Dropout Saliency Maps},
  author = {Chang, Chun-Hao and Creager, Elliot and Goldenberg, Anna and Duvenaud, David},
  year   = {2017}
}""",
    "varsal": """\
@misc{varsal2021,
  title  = {Variational Saliency Maps for Explaining Model's Behavior},
  author = {{Anonymous authors}},
  note   = {Submission to the International Conference on Learning Representations (ICLR)},
  year   = {2021}
}""",
    "nonlinear": """\
@misc{rosenzweig2021nonlinear,
  title  = {Interpreting Deep Neural Networks with Nonlinear Saliency Maps},
  author = {Rosenzweig, Jan and Cvetkovi{\\'c}, Zoran and Rosenzweig, Ivana},
  year   = {2021},
  eprint = {2110.06639},
  archiveprefix = {arXiv}
}""",
    "bbmp": """\
@inproceedings{fong2017bbmp,
  title     = {Interpretable Explanations of Black Boxes by Meaningful Perturbation},
  author    = {Fong, Ruth C. and Vedaldi, Andrea},
  booktitle = {IEEE International Conference on Computer Vision (ICCV)},
  year      = {2017},
  eprint    = {1704.03296},
  archiveprefix = {arXiv}
}""",
    "realtime": """\
@inproceedings{dabkowski2017realtime,
  title     = {Real Time Image Saliency for Black Box Classifiers},
  author    = {Dabkowski, Piotr and Gal, Yarin},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year      = {2017},
  eprint    = {1705.07857},
  archiveprefix = {arXiv}
}""",
    "pda": """\
@inproceedings{zintgraf2017pda,
  title     = {Visualizing Deep Neural Network Decisions: Prediction Difference Analysis},
  author    = {Zintgraf, Luisa M. and Cohen, Taco S. and Adel, Tameem and Welling, Max},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2017},
  eprint    = {1702.04595},
  archiveprefix = {arXiv}
}""",
    "deeplift": """\
@inproceedings{shrikumar2017deeplift,
  title     = {Learning Important Features Through Propagating Activation Differences},
  author    = {Shrikumar, Avanti and Greenside, Peyton and Kundaje, Anshul},
  booktitle = {International Conference on Machine Learning (ICML)},
  year      = {2017},
  eprint    = {1704.02685},
  archiveprefix = {arXiv}
}""",
    "ca_gan": """\
@inproceedings{yu2018contextual,
  title     = {Generative Image Inpainting with Contextual Attention},
  author    = {Yu, Jiahui and Lin, Zhe and Yang, Jimei and Shen, Xiaohui and Lu, Xin and
               Huang, Thomas S.},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2018},
  eprint    = {1801.07892},
  archiveprefix = {arXiv}
}""",
    "concrete": """\
@inproceedings{maddison2017concrete,
  title     = {The Concrete Distribution: A Continuous Relaxation of Discrete Random Variables},
  author    = {Maddison, Chris J. and Mnih, Andriy and Teh, Yee Whye},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2017},
  eprint    = {1611.00712},
  archiveprefix = {arXiv}
}""",
    "imagenet": """\
@inproceedings{deng2009imagenet,
  title     = {{ImageNet}: A Large-Scale Hierarchical Image Database},
  author    = {Deng, Jia and Dong, Wei and Socher, Richard and Li, Li-Jia and Li, Kai and
               Fei-Fei, Li},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2009}
}""",
    "mnist": """\
@article{lecun1998mnist,
  title   = {Gradient-Based Learning Applied to Document Recognition},
  author  = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  number  = {11},
  pages   = {2278--2324},
  year    = {1998}
}""",
    "resnet": """\
@inproceedings{he2016resnet,
  title     = {Deep Residual Learning for Image Recognition},
  author    = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2016},
  eprint    = {1512.03385},
  archiveprefix = {arXiv}
}""",
}
"""The papers behind the library, by short names."""

USES = {
    "fido": ("fido", "concrete"),
    "vdsm": ("vdsm", "concrete"),
    "bbmp": ("bbmp", "fido"),
    "bbmp_mnist": ("bbmp", "vdsm"),
    "bbmp_localisation": ("bbmp",),
    "meaningful_perturbation": ("bbmp",),
    "max": ("fido",),
    "center": ("fido",),
    "box": ("fido",),
    "mean": ("fido",),
    "blur": ("fido", "bbmp"),
    "random": ("fido", "realtime"),
    "local": ("fido",),
    "tiny_imagenet40": ("resnet", "imagenet"),
    "mnist": ("deeplift", "mnist"),
}
"""What to cite for a method, an infiller, a preset or a classifier."""


def papers(name: str) -> tuple[str, ...]:
    """The keys of `BIBTEX` to cite for a name of `USES`, or for a paper's own short name.

    Raises:
        ValueError: the name is unknown.
    """
    check_name("cite", name, sorted({*USES, *BIBTEX}))
    return USES.get(name, (name,))


def cite(*names: str) -> str:
    """The BibTeX entries of methods, infillers, presets, classifiers or papers, each once.

    Without names, all of them.

    Raises:
        ValueError: a name is unknown; the message names the nearest ones.
    """
    keys = [key for name in names for key in papers(name)] if names else list(BIBTEX)
    return "\n\n".join(BIBTEX[key] for key in dict.fromkeys(keys))
