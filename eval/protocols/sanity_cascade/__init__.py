"""Do maps change when the classifier forgets?"""
